// Searching a graph: one walk from its entry point, over rows that pass and rows that do not.

#include "inside.h"

#include <functional>
#include <queue>

using namespace shim;

namespace {

using Candidate = std::pair<float, Row>;
using Nearest = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>>;
using Farthest = std::priority_queue<Candidate>;

// When a walk goes deeper than it was asked to, and how much. Measured in recall.rs.
constexpr double ADVERSE = 1.5;
constexpr size_t DEEPER = 8;

// One walk over the lowest level. FAISS's own counts rows that do not pass against `ef`, which
// costs recall as soon as a selector is at work. Here only rows that pass count, so the walk
// goes on until `ef` of them are found and nothing closer is in sight, or the visits run out.
struct Walk {
    const shim_graph& graph;
    RowDistance& distance;
    faiss::VisitedTable& visited;
    size_t ef;
    // What part of all rows passes.
    double share;
    size_t visits_left;
    shim_passes passes;
    void* selector;
    Nearest candidates;
    Farthest results;
    std::vector<Row> fresh;
    size_t close_rows = 0;
    bool went_deeper = false;

    void spend(size_t visits) {
        visits_left -= std::min(visits_left, visits);
    }

    bool passes_alone(Row row) const {
        return !passes || passes(selector, uint32_t(row));
    }

    // The rows equal to `row`, which is never one of them.
    auto twins(Row row) const {
        auto begin = std::lower_bound(
                graph.twins.begin(), graph.twins.end(), shim_graph::Twin(row, 0));
        auto end = begin;
        while (end != graph.twins.end() && end->first == row) {
            ++end;
        }
        return std::pair(begin, end);
    }

    bool passes_with_twins(Row row) {
        if (passes_alone(row)) {
            return true;
        }
        auto [twin, end] = twins(row);
        spend(size_t(end - twin));
        return std::any_of(twin, end, [&](auto& pair) { return passes_alone(pair.second); });
    }

    void consider(Row row, float away) {
        if (results.size() >= ef && !(away < results.top().first)) {
            return;
        }
        candidates.emplace(away, row);
        close_rows++;
        if (!passes_with_twins(row)) {
            return;
        }
        if (results.size() == ef && !went_deeper) {
            went_deeper = true;
            // Near the query fewer rows pass than elsewhere: the filter follows the clusters,
            // and leaves the query without one. What is left is scattered, and takes a deeper
            // walk to find.
            if (double(close_rows) * share > ADVERSE * double(ef)) {
                ef *= DEEPER;
            }
        }
        results.emplace(away, row);
        if (results.size() > ef) {
            results.pop();
        }
    }

    void consider_fresh() {
        size_t at = 0;
        for (; at + 4 <= fresh.size(); at += 4) {
            float d[4];
            distance.distances_batch_4(
                    fresh[at], fresh[at + 1], fresh[at + 2], fresh[at + 3],
                    d[0], d[1], d[2], d[3]);
            for (size_t lane = 0; lane < 4; lane++) {
                consider(fresh[at + lane], d[lane]);
            }
        }
        for (; at < fresh.size(); at++) {
            consider(fresh[at], distance(fresh[at]));
        }
        spend(fresh.size());
        fresh.clear();
    }

    void meet(Row row) {
        if (!visited.get(row)) {
            visited.set(row);
            prefetch(distance.row(row), distance.d);
            fresh.push_back(row);
        }
    }

    void expand(Row row) {
        const faiss::HNSW& hnsw = graph.index->hnsw;
        size_t begin, end;
        hnsw.neighbor_range(row, 0, &begin, &end);
        for (size_t at = begin; at < end && hnsw.neighbors[at] >= 0; at++) {
            meet(hnsw.neighbors[at]);
        }
        consider_fresh();
    }

    bool run(Row entry) {
        meet(entry);
        consider_fresh();
        while (!candidates.empty()) {
            Candidate next = candidates.top();
            if (results.size() >= ef && next.first > results.top().first) {
                break;
            }
            if (visits_left == 0) {
                return false;
            }
            candidates.pop();
            expand(next.second);
        }
        return true;
    }
};

Row descend(const faiss::HNSW& hnsw, RowDistance& distance) {
    Row nearest = hnsw.entry_point;
    float away = distance(nearest);
    for (int level = hnsw.max_level; level >= 1; level--) {
        faiss::greedy_update_nearest(hnsw, distance, level, nearest, away);
    }
    return nearest;
}

} // namespace

int shim_graph_search(
        const shim_graph* graph, const float* query, size_t k, size_t ef,
        double share, size_t visits_max, shim_passes passes, void* selector,
        uint32_t* rows, float* scores, size_t* found, shim_error* error) {
    *found = 0;
    return guarded(error, [&] {
        const faiss::HNSW& hnsw = graph->index->hnsw;
        if (hnsw.entry_point < 0 || k == 0) {
            return int(SHIM_DONE);
        }
        auto from = distance(graph->metric, graph->rows, graph->dimensions);
        from->set_query(query);
        auto visited = graph->take_table();
        Walk walk{*graph, *from, *visited, std::max(ef, k), share, visits_max, passes,
                  selector, {}, {}, {}};
        bool complete = walk.run(descend(hnsw, *from));
        graph->give_back(std::move(visited));
        if (!complete) {
            return int(SHIM_GAVE_UP);
        }
        std::vector<Row> best;
        for (; !walk.results.empty(); walk.results.pop()) {
            best.push_back(walk.results.top().second);
        }
        Kernel score = kernel(graph->metric);
        auto answer = [&](Row row) {
            if (*found < k && walk.passes_alone(row)) {
                rows[*found] = uint32_t(row);
                scores[(*found)++] = score(query, from->row(row), graph->dimensions);
            }
        };
        for (auto row = best.rbegin(); row != best.rend() && *found < k; ++row) {
            answer(*row);
            auto [twin, end] = walk.twins(*row);
            std::for_each(twin, end, [&](auto& pair) { answer(pair.second); });
        }
        return int(SHIM_DONE);
    });
}
