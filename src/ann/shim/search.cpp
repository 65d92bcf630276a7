// Searching a graph: one walk from its entry point, over rows that pass and rows that do not.

#include "inside.h"

#include <functional>
#include <queue>

using namespace shim;

namespace {

using Candidate = std::pair<float, Row>;
using Nearest = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>>;
using Farthest = std::priority_queue<Candidate>;

// One walk over the lowest level. FAISS's own counts rows that do not pass against `ef`, which
// costs recall as soon as a selector is at work. Here only rows that pass count, so the walk
// goes on until `ef` of them are found and nothing closer is in sight, or the visits run out.
struct Walk {
    const faiss::HNSW& hnsw;
    RowDistance& distance;
    faiss::VisitedTable& visited;
    size_t ef;
    size_t visits_left;
    shim_passes passes;
    void* selector;
    Nearest candidates;
    Farthest results;
    std::vector<Row> fresh;

    void consider(Row row, float away) {
        if (results.size() >= ef && !(away < results.top().first)) {
            return;
        }
        candidates.emplace(away, row);
        if (passes && !passes(selector, uint32_t(row))) {
            return;
        }
        results.emplace(away, row);
        if (results.size() > ef) {
            results.pop();
        }
    }

    void expand(Row row) {
        size_t begin, end;
        hnsw.neighbor_range(row, 0, &begin, &end);
        fresh.clear();
        for (size_t at = begin; at < end; at++) {
            Row other = hnsw.neighbors[at];
            if (other < 0) {
                break;
            }
            if (!visited.get(other)) {
                visited.set(other);
                prefetch(distance.row(other), distance.d);
                fresh.push_back(other);
            }
        }
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
        visits_left -= std::min(visits_left, fresh.size());
    }

    bool run(Row entry) {
        visited.set(entry);
        consider(entry, distance(entry));
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
        size_t visits_max, shim_passes passes, void* selector,
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
        Walk walk{hnsw, *from, *visited, std::max(ef, k), visits_max, passes, selector, {}, {}, {}};
        bool complete = walk.run(descend(hnsw, *from));
        graph->give_back(std::move(visited));
        if (!complete) {
            return int(SHIM_GAVE_UP);
        }
        while (walk.results.size() > k) {
            walk.results.pop();
        }
        Kernel score = kernel(graph->metric);
        for (; !walk.results.empty(); walk.results.pop()) {
            Row row = walk.results.top().second;
            rows[*found] = uint32_t(row);
            scores[(*found)++] = score(query, from->row(row), graph->dimensions);
        }
        return int(SHIM_DONE);
    });
}

