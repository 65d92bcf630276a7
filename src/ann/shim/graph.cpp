// Building a graph, writing it without its rows, reading it back over them.

#include "inside.h"

#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include <stdexcept>

using namespace shim;

namespace {

faiss::MetricType faiss_metric(int metric) {
    return metric == SHIM_INNER_PRODUCT ? faiss::METRIC_INNER_PRODUCT
            : metric == SHIM_L2         ? faiss::METRIC_L2
                                        : faiss::METRIC_L1;
}

uint64_t hash(const float* row, size_t dimensions) {
    uint64_t sum = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < dimensions; i++) {
        uint32_t bits;
        std::memcpy(&bits, row + i, sizeof(bits));
        sum = (sum ^ bits) * 0xff51afd7ed558ccd;
        sum ^= sum >> 32;
    }
    return sum;
}

void find_twins(shim_graph& graph) {
    size_t d = graph.dimensions;
    std::vector<std::pair<uint64_t, Row>> hashes(graph.count);
    for (size_t i = 0; i < graph.count; i++) {
        hashes[i] = {hash(graph.rows + i * d, d), Row(i)};
    }
    std::sort(hashes.begin(), hashes.end());
    for (size_t i = 0; i < hashes.size();) {
        size_t first = i;
        // Different rows of one hash are as good as never seen; they just stay unrecognised.
        for (i++; i < hashes.size() && hashes[i].first == hashes[first].first; i++) {
            Row a = hashes[first].second, b = hashes[i].second;
            if (!std::memcmp(graph.rows + a * d, graph.rows + b * d, d * sizeof(float))) {
                graph.twins.emplace_back(a, b);
            }
        }
    }
    std::sort(graph.twins.begin(), graph.twins.end());
    graph.twins.shrink_to_fit();
}

// FAISS's order: the rows of the highest level first, at random within a level, so that the
// order of arrival, which often follows the clusters, does not shape the graph.
void plan_order(shim_graph& graph) {
    faiss::HNSW& hnsw = graph.index->hnsw;
    hnsw.levels.resize(graph.count);
    for (auto& level : hnsw.levels) {
        level = hnsw.random_level() + 1;
    }
    for (auto [first, twin] : graph.twins) {
        hnsw.levels[twin] = 0;
    }
    for (size_t i = 0; i < graph.count; i++) {
        if (hnsw.levels[i] > 0) {
            graph.order.push_back(Row(i));
        } else {
            hnsw.levels[i] = 1;
        }
    }
    hnsw.prepare_level_tab(graph.count, true);
    faiss::RandomGenerator random(789);
    for (size_t i = 0; i + 1 < graph.order.size(); i++) {
        std::swap(graph.order[i], graph.order[i + random.rand_int(int(graph.order.size() - i))]);
    }
    std::stable_sort(graph.order.begin(), graph.order.end(), [&](Row a, Row b) {
        return hnsw.levels[a] > hnsw.levels[b];
    });
    graph.locks.resize(graph.count);
    for (auto& lock : graph.locks) {
        omp_init_lock(&lock);
    }
}

struct Appender final : faiss::IOWriter {
    shim_append append;
    void* to;
    Appender(shim_append append, void* to) : append(append), to(to) {}
    size_t operator()(const void* bytes, size_t size, size_t items) override {
        append(to, static_cast<const uint8_t*>(bytes), size * items);
        return items;
    }
};

struct Slice final : faiss::IOReader {
    const uint8_t* at;
    size_t left;
    Slice(const uint8_t* bytes, size_t length) : at(bytes), left(length) {}
    size_t operator()(void* into, size_t size, size_t items) override {
        if (size == 0 || items > left / size) {
            return 0;
        }
        if (items > 0) {
            std::memcpy(into, at, size * items);
        }
        at += size * items;
        left -= size * items;
        return items;
    }
    template <class T>
    T take() {
        T value;
        if (!(*this)(&value, sizeof(value), 1)) {
            throw std::runtime_error("it ends too early");
        }
        return value;
    }
};

// FAISS makes room for as many elements as a length says before it reads any. This looks at the
// lengths first: they follow a header of fixed size, each before its elements.
bool lengths_fit(Slice reader, int metric) {
    for (size_t skipped = 0; skipped < 4 + 4 + 8 + 8 + 8 + 1; skipped++) {
        reader.take<uint8_t>();
    }
    if (reader.take<int>() != faiss_metric(metric)) {
        return false;
    }
    if (metric == SHIM_L1) {
        reader.take<float>();
    }
    for (size_t size : {sizeof(double), sizeof(int), sizeof(int), sizeof(size_t), sizeof(Row)}) {
        uint64_t length = reader.take<uint64_t>();
        if (length > reader.left / size) {
            return false;
        }
        reader.at += length * size;
        reader.left -= length * size;
    }
    return true;
}

void read_twins(shim_graph& graph, Slice& reader) {
    uint64_t length = reader.take<uint64_t>();
    if (length > graph.count) {
        throw std::runtime_error("it has more equal rows than rows");
    }
    for (uint64_t i = 0; i < length; i++) {
        Row first = reader.take<Row>();
        Row twin = reader.take<Row>();
        bool sorted = graph.twins.empty() || graph.twins.back() < shim_graph::Twin(first, twin);
        if (!sorted || first < 0 || first >= twin || size_t(twin) >= graph.count) {
            throw std::runtime_error("its table of equal rows is malformed");
        }
        graph.twins.emplace_back(first, twin);
    }
}

// FAISS trusts the links it reads. A link that leads out of the arrays would read memory that
// is not the graph's, so every one is looked at once.
const char* misfit(const faiss::HNSW& hnsw, size_t count) {
    const auto& per_level = hnsw.cum_nneighbor_per_level;
    if (hnsw.levels.size() != count || hnsw.offsets.size() != count + 1 ||
        hnsw.offsets[0] != 0 || hnsw.offsets[count] != hnsw.neighbors.size()) {
        return "its tables have the wrong size";
    }
    if (per_level.size() < 2 || per_level[0] != 0 ||
        !std::is_sorted(per_level.begin(), per_level.end()) || per_level.back() > 65536) {
        return "its table of levels is malformed";
    }
    if (count == 0) {
        return hnsw.entry_point == -1 ? nullptr : "its entry point does not exist";
    }
    for (size_t row = 0; row < count; row++) {
        int levels = hnsw.levels[row];
        if (levels < 1 || size_t(levels) >= per_level.size() ||
            hnsw.offsets[row] > hnsw.offsets[row + 1] ||
            hnsw.offsets[row + 1] - hnsw.offsets[row] != size_t(per_level[levels])) {
            return "a row's levels are malformed";
        }
    }
    if (hnsw.entry_point < 0 || size_t(hnsw.entry_point) >= count ||
        hnsw.levels[hnsw.entry_point] != hnsw.max_level + 1) {
        return "its entry point does not exist";
    }
    for (size_t row = 0; row < count; row++) {
        for (int level = 0; level < hnsw.levels[row]; level++) {
            size_t begin, end;
            hnsw.neighbor_range(row, level, &begin, &end);
            for (size_t at = begin; at < end; at++) {
                Row other = hnsw.neighbors[at];
                if (other < -1 || (other >= 0 && size_t(other) >= count) ||
                    (other >= 0 && hnsw.levels[other] <= level)) {
                    return "a link leads to a row that does not exist";
                }
            }
        }
    }
    return nullptr;
}

} // namespace

shim_graph* shim_graph_new(
        int metric, const float* rows, size_t count, size_t dimensions,
        int m, int ef_construction, shim_error* error) {
    std::unique_ptr<shim_graph> graph;
    int status = guarded(error, [&] {
        graph = std::make_unique<shim_graph>();
        graph->metric = metric;
        graph->rows = rows;
        graph->count = count;
        graph->dimensions = dimensions;
        graph->index = std::make_unique<faiss::IndexHNSWFlat>(
                int(dimensions), m, faiss_metric(metric));
        graph->index->hnsw.efConstruction = ef_construction;
        graph->index->ntotal = idx_t(count);
        find_twins(*graph);
        plan_order(*graph);
        return int(SHIM_DONE);
    });
    return status == SHIM_DONE ? graph.release() : nullptr;
}

int shim_graph_grow(shim_graph* graph, size_t steps, size_t* left, shim_error* error) {
    return guarded(error, [&] {
        faiss::HNSW& hnsw = graph->index->hnsw;
        auto from = distance(graph->metric, graph->rows, graph->dimensions);
        auto visited = graph->take_table();
        size_t end = std::min(graph->order.size(), graph->linked + steps);
        for (; graph->linked < end; graph->linked++) {
            Row row = graph->order[graph->linked];
            from->set_query(from->row(row));
            hnsw.add_with_locks(*from, hnsw.levels[row] - 1, row, graph->locks, *visited);
        }
        graph->give_back(std::move(visited));
        *left = graph->order.size() - graph->linked;
        if (*left == 0) {
            for (auto& lock : graph->locks) {
                omp_destroy_lock(&lock);
            }
            std::vector<omp_lock_t>().swap(graph->locks);
            std::vector<Row>().swap(graph->order);
            graph->linked = 0;
        }
        return int(SHIM_DONE);
    });
}

int shim_graph_write(const shim_graph* graph, shim_append append, void* to, shim_error* error) {
    return guarded(error, [&] {
        Appender writer(append, to);
        uint64_t twins = graph->twins.size();
        writer(&twins, sizeof(twins), 1);
        for (auto [first, twin] : graph->twins) {
            writer(&first, sizeof(first), 1);
            writer(&twin, sizeof(twin), 1);
        }
        faiss::write_index(graph->index.get(), &writer, faiss::IO_FLAG_SKIP_STORAGE);
        return int(SHIM_DONE);
    });
}

shim_graph* shim_graph_read(
        const uint8_t* bytes, size_t length,
        int metric, const float* rows, size_t count, size_t dimensions,
        shim_error* error) {
    std::unique_ptr<shim_graph> graph;
    int status = guarded(error, [&] {
        graph = std::make_unique<shim_graph>();
        graph->metric = metric;
        graph->rows = rows;
        graph->count = count;
        graph->dimensions = dimensions;
        Slice reader(bytes, length);
        read_twins(*graph, reader);
        if (!lengths_fit(reader, metric)) {
            throw std::runtime_error("its tables do not fit into it");
        }
        std::unique_ptr<faiss::Index> read(faiss::read_index(&reader));
        auto* index = dynamic_cast<faiss::IndexHNSWFlat*>(read.get());
        if (!index || reader.left != 0) {
            throw std::runtime_error("it is not one HNSW graph");
        }
        graph->index.reset(index);
        read.release();
        if (size_t(index->d) != dimensions || size_t(index->ntotal) != count ||
            index->metric_type != faiss_metric(metric)) {
            throw std::runtime_error("it was built over other rows");
        }
        if (const char* reason = misfit(index->hnsw, count)) {
            throw std::runtime_error(reason);
        }
        return int(SHIM_DONE);
    });
    return status == SHIM_DONE ? graph.release() : nullptr;
}

size_t shim_graph_bytes(const shim_graph* graph) {
    const faiss::HNSW& hnsw = graph->index->hnsw;
    return sizeof(shim_graph) + sizeof(faiss::IndexHNSWFlat) +
            hnsw.levels.capacity() * sizeof(int) + hnsw.offsets.capacity() * sizeof(size_t) +
            hnsw.neighbors.byte_size() + graph->twins.capacity() * sizeof(shim_graph::Twin);
}

void shim_graph_free(shim_graph* graph) {
    delete graph;
}
