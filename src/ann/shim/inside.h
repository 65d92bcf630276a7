// FAISS behind a C interface: its kernels, its HNSW builder and its file format.
//
// FAISS's `IndexHNSW` copies the vectors into a storage of its own, allocates a visited table
// per query and enters OpenMP. Its parts do not: `HNSW` links rows it reaches only through a
// `DistanceComputer`. So the graphs here are FAISS's, over vectors that stay in the segment's
// file, and no call below starts a thread.

#pragma once

#include "shim.h"

#include <faiss/IndexHNSW.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

namespace shim {

using faiss::idx_t;
using Row = faiss::HNSW::storage_idx_t;

inline void say(shim_error* error, const char* text) {
    std::strncpy(error->text, text, sizeof(error->text) - 1);
    error->text[sizeof(error->text) - 1] = 0;
}

// Runs `body` and turns every exception into a status and a text.
template <class Body>
int guarded(shim_error* error, Body body) {
    try {
        return body();
    } catch (const std::exception& thrown) {
        say(error, thrown.what());
    } catch (...) {
        say(error, "an exception of unknown type");
    }
    return SHIM_FAILED;
}

using Kernel = float (*)(const float*, const float*, size_t);

// The one kernel a score comes from, whatever path found the row.
Kernel kernel(int metric);

constexpr size_t LINE = 64 / sizeof(float);

// The start of a row; the processor's own prefetcher follows from there.
inline void prefetch(const float* row, size_t dimensions) {
    for (size_t at = 0; at < dimensions && at < 4 * LINE; at += LINE) {
        __builtin_prefetch(row + at, 0, 3);
    }
}

// What FAISS walks the rows with: smaller is closer, in every metric.
struct RowDistance : faiss::DistanceComputer {
    const float* rows;
    size_t d;
    const float* query = nullptr;

    RowDistance(const float* rows, size_t d) : rows(rows), d(d) {}
    const float* row(idx_t i) const {
        return rows + size_t(i) * d;
    }
    void set_query(const float* x) override {
        query = x;
    }
};

std::unique_ptr<RowDistance> distance(int metric, const float* rows, size_t dimensions);

} // namespace shim

struct shim_graph {
    int metric;
    const float* rows;
    size_t count;
    size_t dimensions;
    // Its storage stays empty: FAISS wants one to exist, nobody asks it for a vector.
    std::unique_ptr<faiss::IndexHNSWFlat> index;

    // Rows equal to an earlier row, bit for bit: (the earliest such row, this row), sorted. They
    // are not linked. Were they, 40 equal rows would fill each other's links and no walk that
    // enters them would come out again.
    using Twin = std::pair<shim::Row, shim::Row>;
    std::vector<Twin> twins;

    // While building: the order in which rows are linked, and how many are.
    std::vector<shim::Row> order;
    size_t linked = 0;
    std::vector<omp_lock_t> locks;

    // One byte a row and query in flight, reused: clearing one costs as much as a search.
    mutable std::mutex tables_lock;
    mutable std::vector<std::unique_ptr<faiss::VisitedTable>> tables;

    ~shim_graph() {
        for (auto& lock : locks) {
            omp_destroy_lock(&lock);
        }
    }

    std::unique_ptr<faiss::VisitedTable> take_table() const {
        {
            std::lock_guard<std::mutex> held(tables_lock);
            if (!tables.empty()) {
                auto table = std::move(tables.back());
                tables.pop_back();
                return table;
            }
        }
        return std::make_unique<faiss::VisitedTable>(int(count));
    }

    void give_back(std::unique_ptr<faiss::VisitedTable> table) const {
        table->advance();
        std::lock_guard<std::mutex> held(tables_lock);
        tables.push_back(std::move(table));
    }
};
