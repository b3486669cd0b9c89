// AVX2: the bits of half bytes are counted by table.
#pragma once

#include <immintrin.h>

#include "scalar.hpp"

namespace bitreid::avx2 {
#define BITREID_AVX2 BITREID_TARGET("avx2,popcnt")

inline bool runs_here() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }

BITREID_AVX2 BITREID_INLINE __m256i counts_of_bytes(__m256i bits) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    __m256i below = _mm256_shuffle_epi8(table, _mm256_and_si256(bits, low));
    __m256i above = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bits, 4), low));
    return _mm256_add_epi8(below, above);
}

BITREID_AVX2 BITREID_INLINE __m256i differing(const u8 *query, const u8 *row, const u8 *mask) {
    __m256i differ = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(query)),
                                      _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row)));
    return mask ? _mm256_and_si256(differ, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(mask))) : differ;
}

BITREID_AVX2 BITREID_INLINE u32 distance(const u8 *query, const u8 *row, std::size_t n_bytes, const u8 *mask) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i sums = zero;
    std::size_t i = 0;
    while (i + 32 <= n_bytes) {
        // A byte of counts holds 31 vectors (31 * 8 = 248).
        __m256i counts = zero;
        for (int j = 0; j < 31 && i + 32 <= n_bytes; j++, i += 32)
            counts = _mm256_add_epi8(counts, counts_of_bytes(differing(query + i, row + i, mask ? mask + i : nullptr)));
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(counts, zero));
    }
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    u64 sum = static_cast<u64>(_mm_cvtsi128_si64(half)) + static_cast<u64>(_mm_extract_epi64(half, 1));
    for (; i < n_bytes; i += 8) {
        u64 differ = load_word(query + i, n_bytes - i) ^ load_word(row + i, n_bytes - i);
        if (mask) differ &= load_word(mask + i, n_bytes - i);
        sum += static_cast<u64>(_mm_popcnt_u64(differ));
    }
    return static_cast<u32>(sum);
}

// Four codes of 8 bytes that lie one after the other.
BITREID_AVX2 BITREID_INLINE std::size_t scan_words(const u8 *query, const u8 *from, std::size_t n, const u8 *mask, u32 *out) {
    const __m256i word = _mm256_set1_epi64x(static_cast<long long>(load_word(query, 8)));
    const __m256i kept = _mm256_set1_epi64x(mask ? static_cast<long long>(load_word(mask, 8)) : -1);
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i differ = _mm256_xor_si256(word, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + 8 * i)));
        __m256i sums = _mm256_sad_epu8(counts_of_bytes(_mm256_and_si256(differ, kept)), _mm256_setzero_si256());
        alignas(32) u64 four[4];
        _mm256_store_si256(reinterpret_cast<__m256i *>(four), sums);
        for (std::size_t j = 0; j < 4; j++) out[i + j] = static_cast<u32>(four[j]);
    }
    return i;
}

BITREID_AVX2 inline void scan(const u8 *query, Rows rows, std::size_t first, std::size_t n, const u8 *mask, u32 *out,
                              const u8 *) {
    std::size_t i = 0;
    if (rows.n_bytes == 8 && rows.stride == 8) i = scan_words(query, rows.at(first), n, mask, out);
    for (; i < n; i++) out[i] = distance(query, rows.at(first + i), rows.n_bytes, mask);
}

BITREID_AVX2 inline void gather(const u8 *query, Rows rows, const u64 *keys, std::size_t n, const u8 *mask, u32 *out) {
    for (std::size_t i = 0; i < n; i++) {
        if (i + 8 < n) fetch<3>(rows.at(keys[i + 8] & kRowMask), rows.n_bytes);
        out[i] = distance(query, rows.at(keys[i] & kRowMask), rows.n_bytes, mask);
    }
}

BITREID_AVX2 inline std::size_t select(const u32 *distances, std::size_t n, u32 below, u64 first, u64 *keys) {
    // Unsigned comparison: both sides moved by half the range.
    const __m256i half = _mm256_set1_epi32(static_cast<int>(0x80000000u));
    const __m256i limit = _mm256_xor_si256(_mm256_set1_epi32(static_cast<int>(below)), half);
    std::size_t found = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i eight = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(distances + i));
        __m256i nearer = _mm256_cmpgt_epi32(limit, _mm256_xor_si256(eight, half));
        unsigned mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(nearer)));
        for (; mask; mask &= mask - 1) {
            std::size_t row = i + static_cast<std::size_t>(__builtin_ctz(mask));
            keys[found++] = u64{distances[row]} << kRowBits | (first + row);
        }
    }
    return found + scalar::select(distances + i, n - i, below, first + i, keys + found);
}

// 32 bits as bytes, all ones where the bit is 1.
BITREID_AVX2 BITREID_INLINE __m256i spread(u32 bits) {
    const __m256i places = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), places);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each);
}

BITREID_AVX2 inline void sums(const i8 *values, Rows rows, const u64 *keys, std::size_t n, i32 *out) {
    const __m256i ones = _mm256_set1_epi8(1), wide_ones = _mm256_set1_epi16(1);
    for (std::size_t i = 0; i < n; i++) {
        const u8 *row = rows.at(keys[i] & kRowMask);
        if (i + 8 < n) fetch<3>(rows.at(keys[i + 8] & kRowMask), rows.n_bytes);
        __m256i sum = _mm256_setzero_si256();
        for (std::size_t j = 0; j < rows.n_bytes;) {
            __m256i pairs = _mm256_setzero_si256();
            for (int k = 0; k < kPairsAdded && j < rows.n_bytes; k++, j += 4) {
                const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(values + 8 * j));
                const u32 bits = static_cast<u32>(load_word(row + j, std::min<std::size_t>(rows.n_bytes - j, 4)));
                pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(ones, _mm256_and_si256(here, spread(bits))));
            }
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, wide_ones));
        }
        alignas(32) i32 eight[8];
        _mm256_store_si256(reinterpret_cast<__m256i *>(eight), sum);
        out[i] = 0;
        for (i32 each : eight) out[i] += each;
    }
}

}  // namespace bitreid::avx2
