// Scores of rows: FAISS's kernels, for whole blocks of rows per call.

#include "inside.h"

#include <faiss/utils/distances.h>

#include <cmath>
#include <stdexcept>

// Whoever links this code links the processor check of cpu.c.
extern "C" const char pointd_cpu_checked;
__attribute__((used)) static const char* const cpu_checked = &pointd_cpu_checked;

namespace shim {

Kernel kernel(int metric) {
    switch (metric) {
        case SHIM_INNER_PRODUCT:
            return faiss::fvec_inner_product;
        case SHIM_L2:
            return [](const float* a, const float* b, size_t d) {
                return std::sqrt(faiss::fvec_L2sqr(a, b, d));
            };
        default:
            return faiss::fvec_L1;
    }
}

namespace {

struct InnerProduct final : RowDistance {
    using RowDistance::RowDistance;
    float operator()(idx_t i) override {
        return -faiss::fvec_inner_product(query, row(i), d);
    }
    float symmetric_dis(idx_t i, idx_t j) override {
        return -faiss::fvec_inner_product(row(i), row(j), d);
    }
    void distances_batch_4(
            idx_t a, idx_t b, idx_t c, idx_t e,
            float& da, float& db, float& dc, float& de) override {
        faiss::fvec_inner_product_batch_4(
                query, row(a), row(b), row(c), row(e), d, da, db, dc, de);
        da = -da, db = -db, dc = -dc, de = -de;
    }
};

struct SquaredL2 final : RowDistance {
    using RowDistance::RowDistance;
    float operator()(idx_t i) override {
        return faiss::fvec_L2sqr(query, row(i), d);
    }
    float symmetric_dis(idx_t i, idx_t j) override {
        return faiss::fvec_L2sqr(row(i), row(j), d);
    }
    void distances_batch_4(
            idx_t a, idx_t b, idx_t c, idx_t e,
            float& da, float& db, float& dc, float& de) override {
        faiss::fvec_L2sqr_batch_4(query, row(a), row(b), row(c), row(e), d, da, db, dc, de);
    }
};

struct L1 final : RowDistance {
    using RowDistance::RowDistance;
    float operator()(idx_t i) override {
        return faiss::fvec_L1(query, row(i), d);
    }
    float symmetric_dis(idx_t i, idx_t j) override {
        return faiss::fvec_L1(row(i), row(j), d);
    }
};

} // namespace

std::unique_ptr<RowDistance> distance(int metric, const float* rows, size_t d) {
    switch (metric) {
        case SHIM_INNER_PRODUCT:
            return std::make_unique<InnerProduct>(rows, d);
        case SHIM_L2:
            return std::make_unique<SquaredL2>(rows, d);
        case SHIM_L1:
            return std::make_unique<L1>(rows, d);
    }
    throw std::invalid_argument("unknown metric");
}

} // namespace shim

float shim_score(int metric, const float* a, const float* b, size_t dimensions) {
    return shim::kernel(metric)(a, b, dimensions);
}

void shim_score_range(
        int metric, const float* query, const float* rows, size_t dimensions,
        size_t first, size_t count, float* scores) {
    shim::Kernel score = shim::kernel(metric);
    const float* row = rows + first * dimensions;
    for (size_t i = 0; i < count; i++, row += dimensions) {
        scores[i] = score(query, row, dimensions);
    }
}

void shim_score_list(
        int metric, const float* query, const float* rows, size_t dimensions,
        const uint32_t* which, size_t count, float* scores) {
    shim::Kernel score = shim::kernel(metric);
    for (size_t i = 0; i < count; i++) {
        if (i + 2 < count) {
            shim::prefetch(rows + size_t(which[i + 2]) * dimensions, dimensions);
        }
        scores[i] = score(query, rows + size_t(which[i]) * dimensions, dimensions);
    }
}
