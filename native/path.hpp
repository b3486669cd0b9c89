// Hamming distances of one query, or a block of queries, to rows: one implementation for each kind of processor.
//
// All paths give the same numbers. A distance is the number of bits that differ among those that the mask keeps (null:
// all). Loads need no alignment, and nothing is read past a row's last byte.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bitreid {

using i8 = std::int8_t;
using i32 = std::int32_t;
using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// A key orders by (distance, row): the distance in its upper 24 bits, the row in its lower 40.
constexpr int kRowBits = 40;
constexpr u64 kRowMask = (u64{1} << kRowBits) - 1;
static_assert(sizeof(std::size_t) == 8, "sizes of galleries are numbers of 64 bits");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as bytes too");

// What a query is compared with: rows of `n_bytes`, `stride` bytes apart.
struct Rows {
    const u8 *data;
    std::ptrdiff_t stride;
    std::size_t n_bytes;
    const u8 *at(std::size_t row) const { return data + static_cast<std::ptrdiff_t>(row) * stride; }
};

// What `find` looks for: rows nearer than `below` that `allowed`, a byte a row, does not rule out (null: all may be
// found), by the bits that the mask keeps.
struct Near {
    u32 below;
    const u8 *allowed;
    const u8 *mask;
};

// One kind of processor. `scan` takes rows `first .. first + n`, `next` is what will be read after them (null: what follows
// in memory); `gather` the rows of `n` keys; `select` writes the keys
// of the distances below `below`, in order, and returns how many: `keys` has room for `n` and 16 more.
// Up to kSeveral queries share a pass by `several`, which loads each row once. More of them, and those of short codes,
// share tiles: `load` makes a tile of some rows (with `ahead` it also fetches the rows that follow), and `block` writes the
// distances of up to kQueriesAtOnce queries, prepared by `prepare`, to the tile's `n` rows. Queries of both are masked,
// padded with zeros and aligned to 64 bytes. The distances of each begin `out_stride`, a multiple of 16, after those of
// the one before, and there is room for so many. Null where `scan` is as quick.
struct Path {
    const char *name;
    bool (*runs_here)();
    void (*scan)(const u8 *query, Rows, std::size_t first, std::size_t n, const u8 *mask, u32 *out, const u8 *next);
    void (*gather)(const u8 *query, Rows, const u64 *keys, std::size_t n, const u8 *mask, u32 *out);
    std::size_t (*select)(const u32 *distances, std::size_t n, u32 below, u64 first, u64 *keys);
    // `scan` and `select` in one, for codes of 4 or 8 bytes that lie one after the other.
    // Null where the two are as quick.
    std::size_t (*find)(const u8 *query, Rows, std::size_t first, std::size_t n, Near, u64 *keys);
    void (*several)(const u64 *const *queries, std::size_t n_queries, Rows, std::size_t first, std::size_t n,
                    const u8 *mask, u32 *out, std::size_t out_stride);
    void (*prepare)(u64 *words, std::size_t n_words);
    void (*load)(Rows, std::size_t first, std::size_t n, const u8 *mask, bool ahead, u64 *tile);
    void (*block)(const u64 *const *queries, std::size_t n_queries, const u64 *tile, std::size_t n, std::size_t n_words,
                  u32 *out, std::size_t out_stride);
    // The sums of a query's values over the bits that are 1 in the rows of `n` keys: a value for each bit, those of a
    // byte's lowest bit first, and zeros up to a multiple of kValues.
    void (*sums)(const i8 *values, Rows, const u64 *keys, std::size_t n, i32 *out);
};

// Queries that `several` takes.
constexpr std::size_t kSeveral = 8;
// Queries that `block` takes, and how many rows: tile and distances stay in the first-level cache.
constexpr std::size_t kQueriesAtOnce = 4;
constexpr std::size_t kTileBytes = 16 * 1024;
// Values that `sums` takes at once, and how often it may add pairs of them in 16 bits.
constexpr std::size_t kValues = 64;
constexpr int kPairsAdded = 128;
inline std::size_t padded_words(std::size_t n_bytes) { return (n_bytes + 7) / 8; }
inline std::size_t rows_in_tile(std::size_t n_bytes) {
    std::size_t rows = kTileBytes / (8 * padded_words(n_bytes)) / 16 * 16;
    return rows < 16 ? 16 : rows > 1024 ? 1024 : rows;
}

// Fetches some bytes, all lines of the cache that hold any, into its first level (3) or the second (2). (Inlined by force:
// GCC takes calls of a function that does nothing but prefetch for needless.)
template <int level>
__attribute__((always_inline)) inline void fetch(const u8 *from, std::size_t n_bytes) {
    const u8 *line = from - reinterpret_cast<std::uintptr_t>(from) % 64;
    for (; line < from + n_bytes; line += 64) __builtin_prefetch(line, 0, level);
}

// The first bytes of a word, at most 8; zeros for the rest. (Copies of a fixed size: others are calls.)
inline u64 load_word(const u8 *from, std::size_t n_bytes) {
    u64 word = 0;
    if (n_bytes >= 8) {
        std::memcpy(&word, from, 8);
        return word;
    }
    std::size_t i = 0;
    if (n_bytes >= 4) {
        std::memcpy(&word, from, 4);
        i = 4;
    }
    for (; i < n_bytes; i++) word |= u64{from[i]} << (8 * i);
    return word;
}

}  // namespace bitreid
