// The whole of what Rust sees of FAISS. No C++ type and no exception crosses it: a call that
// can fail returns a status and, when it is SHIM_FAILED, writes a text into the error buffer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// How rows are compared. The numbers are also written into graph files.
enum shim_metric { SHIM_INNER_PRODUCT = 0, SHIM_L2 = 1, SHIM_L1 = 2 };

enum shim_status { SHIM_DONE = 0, SHIM_FAILED = 1, SHIM_GAVE_UP = 2 };

struct shim_error {
    char text[256];
};

// Scores as the API answers them: inner product, L2 (not squared), L1.
float shim_score(int metric, const float* a, const float* b, size_t dimensions);
void shim_score_range(
        int metric, const float* query, const float* rows, size_t dimensions,
        size_t first, size_t count, float* scores);
// Every row of `which` must exist: this does not look.
void shim_score_list(
        int metric, const float* query, const float* rows, size_t dimensions,
        const uint32_t* which, size_t count, float* scores);

// A graph over `rows`, which must outlive it and stay where they are.
struct shim_graph;

struct shim_graph* shim_graph_new(
        int metric, const float* rows, size_t count, size_t dimensions,
        int m, int ef_construction, struct shim_error* error);
// Adds up to `steps` more rows; `*left` says how many are still to come.
int shim_graph_grow(
        struct shim_graph* graph, size_t steps, size_t* left, struct shim_error* error);

typedef void (*shim_append)(void* to, const uint8_t* bytes, size_t length);
int shim_graph_write(
        const struct shim_graph* graph, shim_append append, void* to, struct shim_error* error);
// Reads what `shim_graph_write` wrote, and refuses what does not fit the rows.
struct shim_graph* shim_graph_read(
        const uint8_t* bytes, size_t length,
        int metric, const float* rows, size_t count, size_t dimensions,
        struct shim_error* error);

// Whether a row may be among the results; it must not unwind.
typedef int (*shim_passes)(void* selector, uint32_t row);
// Writes at most `k` rows with their scores and their number to `*found`. `passes` may be null;
// `share` is the part of all rows that passes, 0 to 1. Gives up once it has computed
// `visits_max` distances.
int shim_graph_search(
        const struct shim_graph* graph, const float* query, size_t k, size_t ef,
        double share, size_t visits_max, shim_passes passes, void* selector,
        uint32_t* rows, float* scores, size_t* found, struct shim_error* error);

size_t shim_graph_bytes(const struct shim_graph* graph);
void shim_graph_free(struct shim_graph* graph);

#ifdef __cplusplus
}
#endif
