// AVX-512 with VPOPCNTDQ: Ice Lake, Zen 4 and later. Several queries share tiles of rows, turned so that no sum runs
// across a vector; short codes are compared and selected in one.
#pragma once

#include <immintrin.h>

#include <cstdlib>

#include "scalar.hpp"

namespace bitreid::avx512 {
#define BITREID_AVX512 BITREID_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi,avx512vbmi2,avx2,popcnt")

#define BITREID_AVX512_LAMBDA BITREID_AVX512 __attribute__((always_inline))

inline bool runs_here() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
}

// (a ^ b) & c in one operation.
BITREID_AVX512 BITREID_INLINE __m512i differing(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi64(a, b, c, 0x28); }

BITREID_AVX512 BITREID_INLINE void put8(u32 *out, __m512i sums) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out), _mm512_cvtepi64_epi32(sums));
}

// How far ahead rows that lie one after the other are fetched: the processor's own prefetcher stops at the end of a
// page (4 KB). On Zen 5, 1,000,000 codes of 2,048 bits take 6.9 ms a query with it, 10.0 (halves) or 12.7 (whole
// vectors) without; the short codes of a two-stage search are found in two thirds of the time.
constexpr std::size_t kAhead = 4096;

// 64 bytes as two loads of 32. Zen 4 reads memory at two thirds of the speed with loads of 64; on Zen 5, with the
// prefetch above, both take the same time. So one form serves both.
BITREID_AVX512 BITREID_INLINE __m512i load_halves(const u8 *from) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from))),
                              _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + 32)), 1);
}

template <bool masked>
BITREID_AVX512 BITREID_INLINE __m512i counts(__m512i query, __m512i row, __m512i kept) {
    return _mm512_popcnt_epi64(masked ? differing(query, row, kept) : _mm512_xor_si512(query, row));
}

// The sum of the eight words of each of eight vectors.
BITREID_AVX512 BITREID_INLINE __m512i sums_of(const __m512i (&v)[8]) {
    __m512i pairs[4];
    for (int i = 0; i < 4; i++)
        pairs[i] = _mm512_add_epi64(_mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]),
                                    _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
    __m512i a = _mm512_add_epi64(_mm512_shuffle_i64x2(pairs[0], pairs[1], 0x88),
                                 _mm512_shuffle_i64x2(pairs[0], pairs[1], 0xdd));
    __m512i b = _mm512_add_epi64(_mm512_shuffle_i64x2(pairs[2], pairs[3], 0x88),
                                 _mm512_shuffle_i64x2(pairs[2], pairs[3], 0xdd));
    return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
}

// The distances of eight rows, each in one word. Row by row: memory is read fastest from front to back. `streamed`: the
// rows lie one after the other in memory, and as many bytes from `ahead` on are fetched. Others have been fetched already,
// and are loaded whole (7 % quicker on Zen 5).
template <bool masked, bool streamed>
BITREID_AVX512 BITREID_INLINE __m512i eight(const u8 *query, const u8 *const (&row)[8], std::size_t n_bytes,
                                            const u8 *mask, const u8 *ahead) {
    const __m512i zero = _mm512_setzero_si512();
    const std::size_t whole = n_bytes / 64 * 64;
    const __mmask64 rest = n_bytes % 64 ? ~__mmask64{0} >> (64 - n_bytes % 64) : 0;
    __m512i sums[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        sums[r] = zero;
        for (std::size_t i = 0; i < whole; i += 64) {
            if (streamed) _mm_prefetch(ahead + static_cast<std::size_t>(r) * n_bytes + i, _MM_HINT_T0);
            const __m512i here = streamed ? load_halves(row[r] + i) : _mm512_loadu_si512(row[r] + i);
            sums[r] = _mm512_add_epi64(sums[r], counts<masked>(_mm512_loadu_si512(query + i), here,
                                                               masked ? _mm512_loadu_si512(mask + i) : zero));
        }
        if (rest)
            sums[r] = _mm512_add_epi64(
                sums[r], counts<masked>(_mm512_maskz_loadu_epi8(rest, query + whole),
                                        _mm512_maskz_loadu_epi8(rest, row[r] + whole),
                                        masked ? _mm512_maskz_loadu_epi8(rest, mask + whole) : zero));
    }
    return sums_of(sums);
}

// Eight rows at a time; with `ahead`, the rows that many places further on are fetched meanwhile; `next` as in Path.
template <bool masked, bool streamed, typename RowAt>
BITREID_AVX512 BITREID_INLINE void by_eight(const u8 *query, Rows rows, std::size_t n, const u8 *mask, u32 *out,
                                            std::size_t ahead, const u8 *next, RowAt row_at) {
    const u8 *row[8];
    for (std::size_t i = 0; i < n; i += 8) {
        std::size_t now = n - i < 8 ? n - i : 8;
        for (std::size_t r = 0; r < 8; r++) row[r] = row_at(i + (r < now ? r : 0));
        if (ahead)
            for (std::size_t r = i + ahead; r < i + ahead + 8 && r < n; r++) fetch<3>(row_at(r), rows.n_bytes);
        const std::size_t fetched = i * rows.n_bytes + kAhead, end = n * rows.n_bytes;
        const u8 *from = next && fetched >= end ? next + (fetched - end) : row[0] + kAhead;
        __m512i sums = eight<masked, streamed>(query, row, rows.n_bytes, mask, from);
        if (now == 8) {
            put8(out + i, sums);
        } else {
            alignas(64) u64 each[8];
            _mm512_store_si512(each, sums);
            for (std::size_t r = 0; r < now; r++) out[i + r] = static_cast<u32>(each[r]);
        }
    }
}

// Codes of 8 or of 4 bytes that lie one after the other.
BITREID_AVX512 BITREID_INLINE std::size_t scan_words(const u8 *query, const u8 *from, std::size_t n, const u8 *mask, u32 *out) {
    const __m512i word = _mm512_set1_epi64(static_cast<long long>(load_word(query, 8)));
    const __m512i kept = _mm512_set1_epi64(mask ? static_cast<long long>(load_word(mask, 8)) : -1);
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8)
        put8(out + i, _mm512_popcnt_epi64(differing(word, _mm512_loadu_si512(from + 8 * i), kept)));
    return i;
}

BITREID_AVX512 BITREID_INLINE std::size_t scan_half_words(const u8 *query, const u8 *from, std::size_t n, const u8 *mask, u32 *out) {
    const __m512i word = _mm512_set1_epi32(static_cast<int>(load_word(query, 4)));
    const __m512i kept = _mm512_set1_epi32(mask ? static_cast<int>(load_word(mask, 4)) : -1);
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_si512(out + i, _mm512_popcnt_epi32(differing(word, _mm512_loadu_si512(from + 4 * i), kept)));
    return i;
}

BITREID_AVX512 inline void scan(const u8 *query, Rows rows, std::size_t first, std::size_t n, const u8 *mask, u32 *out,
                                const u8 *next) {
    std::size_t i = 0;
    const bool tight = rows.stride == static_cast<std::ptrdiff_t>(rows.n_bytes);
    if (tight && rows.n_bytes == 8) i = scan_words(query, rows.at(first), n, mask, out);
    if (tight && rows.n_bytes == 4) i = scan_half_words(query, rows.at(first), n, mask, out);
    auto row_at = [&](std::size_t row) BITREID_AVX512_LAMBDA { return rows.at(first + i + row); };
    if (mask)
        tight ? by_eight<true, true>(query, rows, n - i, mask, out + i, 0, next, row_at)
              : by_eight<true, false>(query, rows, n - i, mask, out + i, 0, next, row_at);
    else
        tight ? by_eight<false, true>(query, rows, n - i, mask, out + i, 0, next, row_at)
              : by_eight<false, false>(query, rows, n - i, mask, out + i, 0, next, row_at);
}

BITREID_AVX512 inline void gather(const u8 *query, Rows rows, const u64 *keys, std::size_t n, const u8 *mask, u32 *out) {
    auto row_at = [&](std::size_t i) BITREID_AVX512_LAMBDA { return rows.at(keys[i] & kRowMask); };
    if (mask)
        by_eight<true, false>(query, rows, n, mask, out, 32, nullptr, row_at);
    else
        by_eight<false, false>(query, rows, n, mask, out, 32, nullptr, row_at);
}

BITREID_AVX512 inline std::size_t select(const u32 *distances, std::size_t n, u32 below, u64 first, u64 *keys) {
    const __m512i limit = _mm512_set1_epi32(static_cast<int>(below));
    std::size_t found = 0, i = 0;
    for (; i + 64 <= n; i += 64) {
        __mmask16 near[4];
        for (std::size_t j = 0; j < 4; j++)
            near[j] = _mm512_cmplt_epu32_mask(_mm512_loadu_si512(distances + i + 16 * j), limit);
        u64 hits = _mm512_kunpackd(_mm512_kunpackw(near[3], near[2]), _mm512_kunpackw(near[1], near[0]));
        for (; hits; hits &= hits - 1) {
            const std::size_t row = i + static_cast<std::size_t>(__builtin_ctzll(hits));
            keys[found++] = u64{distances[row]} << kRowBits | (first + row);
        }
    }
    return found + scalar::select(distances + i, n - i, below, first + i, keys + found);
}

// Where rows that several queries share are fetched, in bytes from the row that is compared: by what the cache takes of
// each, twice as far as for one query (two queries then take no longer than one).
inline std::ptrdiff_t away_of(Rows rows) {
    const auto line = static_cast<std::size_t>(std::min<std::ptrdiff_t>(64, std::abs(rows.stride)));
    return static_cast<std::ptrdiff_t>(2 * kAhead / std::max(rows.n_bytes, line) + 1) * rows.stride;
}

// Eight rows against some queries, while those `away` bytes further on are fetched.
template <std::size_t n_queries>
BITREID_AVX512 BITREID_INLINE void eight_of(const u64 *const *queries, const u8 *const (&row)[8], std::size_t n_bytes,
                                            const u8 *mask, std::ptrdiff_t away, u32 *out, std::size_t out_stride) {
    __m512i sums[n_queries][8];
    for (std::size_t r = 0; r < 8; r++) {
        fetch<3>(row[r] + away, n_bytes);
        __m512i of_row[n_queries];
        for (auto &sum : of_row) sum = _mm512_setzero_si512();
        auto compare = [&](std::size_t i, __m512i here) BITREID_AVX512_LAMBDA {
#pragma GCC unroll 8
            for (std::size_t q = 0; q < n_queries; q++)
                of_row[q] = _mm512_add_epi64(
                    of_row[q], _mm512_popcnt_epi64(_mm512_xor_si512(here, _mm512_load_si512(queries[q] + i / 8))));
        };
        std::size_t i = 0;
        for (; i + 64 <= n_bytes; i += 64) {
            const __m512i here = _mm512_loadu_si512(row[r] + i);
            compare(i, mask ? _mm512_and_si512(here, _mm512_loadu_si512(mask + i)) : here);
        }
        if (i < n_bytes) {
            const __mmask64 rest = ~__mmask64{0} >> (64 - (n_bytes - i));
            const __m512i here = _mm512_maskz_loadu_epi8(rest, row[r] + i);
            compare(i, mask ? _mm512_and_si512(here, _mm512_maskz_loadu_epi8(rest, mask + i)) : here);
        }
        for (std::size_t q = 0; q < n_queries; q++) sums[q][r] = of_row[q];
    }
    for (std::size_t q = 0; q < n_queries; q++) put8(out + q * out_stride, sums_of(sums[q]));
}

BITREID_AVX512 inline void several(const u64 *const *queries, std::size_t n_queries, Rows rows, std::size_t first,
                                   std::size_t n, const u8 *mask, u32 *out, std::size_t out_stride) {
    const std::ptrdiff_t away = away_of(rows);
    const u8 *row[8];
    for (std::size_t i = 0; i < n; i += 8, out += 8) {
        for (std::size_t r = 0; r < 8; r++) row[r] = rows.at(first + std::min(i + r, n - 1));
        switch (n_queries) {
            case 1: eight_of<1>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            case 2: eight_of<2>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            case 3: eight_of<3>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            case 4: eight_of<4>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            case 5: eight_of<5>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            case 6: eight_of<6>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            case 7: eight_of<7>(queries, row, rows.n_bytes, mask, away, out, out_stride); break;
            default: eight_of<8>(queries, row, rows.n_bytes, mask, away, out, out_stride);
        }
    }
}

// 0, 1, 2, ... 63.
BITREID_AVX512 BITREID_INLINE __m512i counting() {
    alignas(64) u8 numbers[64];
    for (int i = 0; i < 64; i++) numbers[i] = static_cast<u8>(i);
    return _mm512_load_si512(numbers);
}

// Which of 64 codes that lie one after the other are nearer than `limit` (64 times, in bytes).
template <typename Word, bool masked>
BITREID_AVX512 BITREID_INLINE u64 near64(__m512i query, __m512i kept, const u8 *rows, __m512i limit) {
    constexpr int n = sizeof(Word);
    auto distances = [&](int i) BITREID_AVX512_LAMBDA {
        _mm_prefetch(rows + 64 * i + kAhead, _MM_HINT_T0);
        const __m512i here = _mm512_loadu_si512(rows + 64 * i);
        const __m512i differ = masked ? differing(query, here, kept) : _mm512_xor_si512(query, here);
        return n == 8 ? _mm512_popcnt_epi64(differ) : _mm512_popcnt_epi32(differ);
    };
    // A distance fits a byte: those of vector i go into byte i of every word, and all are compared at once.
    __m512i bytes = distances(0);
#pragma GCC unroll 8
    for (int i = 1; i < n; i++)
        bytes = _mm512_or_si512(bytes, n == 8 ? _mm512_slli_epi64(distances(i), 8u * static_cast<unsigned>(i))
                                              : _mm512_slli_epi32(distances(i), 8u * static_cast<unsigned>(i)));
    // Byte i of word j is row (64 / n) i + j.
    alignas(64) u8 places[64];
    for (int row = 0; row < 64; row++) places[row] = static_cast<u8>(row % (64 / n) * n + row / (64 / n));
    return _mm512_cmplt_epu8_mask(_mm512_permutexvar_epi8(_mm512_load_si512(places), bytes), limit);
}

template <typename Word, bool masked>
BITREID_AVX512 BITREID_INLINE std::size_t find_words(const u8 *query, Rows rows, std::size_t first, std::size_t n,
                                                     Near near, u64 *keys) {
    const u64 kept = masked ? load_word(near.mask, sizeof(Word)) : ~u64{0};
    const u64 word = load_word(query, sizeof(Word));
    auto fill = [](u64 value) BITREID_AVX512_LAMBDA {
        return sizeof(Word) == 8 ? _mm512_set1_epi64(static_cast<long long>(value))
                                 : _mm512_set1_epi32(static_cast<int>(value));
    };
    const __m512i words = fill(word), all_kept = fill(kept);
    const __m512i limit = _mm512_set1_epi8(static_cast<char>(std::min<u32>(near.below, 255)));
    std::size_t found = 0;
    auto take = [&](std::size_t row) BITREID_AVX512_LAMBDA {
        const u64 differ = load_word(rows.data + row * sizeof(Word), sizeof(Word)) ^ word;
        return static_cast<u64>(_mm_popcnt_u64(masked ? differ & kept : differ)) << kRowBits | row;
    };
    const __m512i count64 = counting();
    while (n >= 64) {
        // Places are written always and kept if near enough: a branch would be guessed wrong too often.
        constexpr std::size_t kChunk = 2048;
        alignas(64) std::uint16_t places[kChunk + 64];
        std::size_t n_places = 0;
        const std::size_t chunk = std::min(kChunk, n / 64 * 64);
        for (std::size_t i = 0; i < chunk; i += 64) {
            u64 hits = near64<Word, masked>(words, all_kept, rows.at(first + i), limit);
            if (near.allowed)
                hits &= _mm512_test_epi8_mask(_mm512_loadu_si512(near.allowed + first + i), _mm512_set1_epi8(-1));
            // The first 32 of the places are written at once, and the others, if there are any, after them.
            const __m512i here = _mm512_maskz_compress_epi8(hits, count64);
            const __m512i base = _mm512_set1_epi16(static_cast<short>(i));
            const std::size_t n_hits = static_cast<std::size_t>(_mm_popcnt_u64(hits));
            _mm512_storeu_si512(places + n_places,
                                _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(here))));
            if (n_hits > 32)
                _mm512_storeu_si512(places + n_places + 32,
                                    _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(here, 1))));
            n_places += n_hits;
        }
        for (std::size_t i = 0; i < n_places; i++) keys[found++] = take(first + places[i]);
        first += chunk;
        n -= chunk;
    }
    for (std::size_t row = first; row < first + n; row++) {
        keys[found] = take(row);
        found += keys[found] >> kRowBits < near.below && (!near.allowed || near.allowed[row]);
    }
    return found;
}

BITREID_AVX512 inline std::size_t find(const u8 *query, Rows rows, std::size_t first, std::size_t n, Near near,
                                       u64 *keys) {
    if (rows.n_bytes == 8)
        return near.mask ? find_words<u64, true>(query, rows, first, n, near, keys)
                         : find_words<u64, false>(query, rows, first, n, near, keys);
    return near.mask ? find_words<u32, true>(query, rows, first, n, near, keys)
                     : find_words<u32, false>(query, rows, first, n, near, keys);
}

// Eight words of eight rows, so that each vector holds one word of all rows.
BITREID_AVX512 BITREID_INLINE void transpose(__m512i (&v)[8]) {
    __m512i pairs[8], a[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
    }
    for (int odd = 0; odd < 2; odd++)
        for (int low = 0; low < 2; low++) {
            __m512i one = pairs[4 * low + odd], other = pairs[4 * low + 2 + odd];
            a[4 * odd + low] = _mm512_shuffle_i64x2(one, other, 0x88);
            a[4 * odd + 2 + low] = _mm512_shuffle_i64x2(one, other, 0xdd);
        }
    for (int odd = 0; odd < 2; odd++)
        for (int i = 0; i < 2; i++) {
            v[2 * i + odd] = _mm512_shuffle_i64x2(a[4 * odd + 2 * i], a[4 * odd + 2 * i + 1], 0x88);
            v[2 * i + odd + 4] = _mm512_shuffle_i64x2(a[4 * odd + 2 * i], a[4 * odd + 2 * i + 1], 0xdd);
        }
}

// Of every three words, the third becomes the sum of all (without carry). With x the words that differ and s their sum,
// the bits that differ are popcnt(s) + 2 popcnt(carry), and the carry is x1 where x1 = x2, else not s: two counts for
// three words, and the third is not needed (Harley and Seal's counting, as in Mula, Kurz and Lemire, Faster Population
// Counts, 2018, with the sums of either side taken beforehand).
BITREID_AVX512 inline void prepare(u64 *words, std::size_t n_words) {
    for (std::size_t w = 0; w + 3 <= n_words; w += 3) words[w + 2] ^= words[w] ^ words[w + 1];
}

// Rows as columns of words, eight rows at a time, so that no sum runs across a vector; prepared; zeros beyond the last
// byte and beyond the last row of sixteen.
template <bool ahead>
BITREID_AVX512 BITREID_INLINE void load_columns(Rows rows, std::size_t first, std::size_t n, const u8 *mask,
                                                u64 *tile) {
    const std::size_t n_words = padded_words(rows.n_bytes);
    const std::ptrdiff_t away = away_of(rows);
    for (std::size_t group = 0; group < (n + 15) / 16 * 16; group += 8, tile += 8 * n_words) {
        for (std::size_t r = 0; ahead && r < 8; r++) fetch<3>(rows.at(first + group + r) + away, rows.n_bytes);
        for (std::size_t w = 0; w < n_words; w += 8) {
            const std::size_t rest = rows.n_bytes - 8 * w;
            const __mmask64 here = rest < 64 ? ~__mmask64{0} >> (64 - rest) : ~__mmask64{0};
            const __m512i kept = mask ? _mm512_maskz_loadu_epi8(here, mask + 8 * w) : _mm512_set1_epi64(-1);
            __m512i v[8];
            for (std::size_t r = 0; r < 8; r++)
                v[r] = group + r < n
                           ? _mm512_and_si512(kept, _mm512_maskz_loadu_epi8(here, rows.at(first + group + r) + 8 * w))
                           : _mm512_setzero_si512();
            transpose(v);
            for (std::size_t c = 0; c < 8 && w + c < n_words; c++) _mm512_storeu_si512(tile + 8 * (w + c), v[c]);
        }
        for (std::size_t w = 0; w + 3 <= n_words; w += 3) {
            __m512i a = _mm512_loadu_si512(tile + 8 * w), b = _mm512_loadu_si512(tile + 8 * (w + 1));
            __m512i c = _mm512_loadu_si512(tile + 8 * (w + 2));
            _mm512_storeu_si512(tile + 8 * (w + 2), _mm512_ternarylogic_epi64(a, b, c, 0x96));
        }
    }
}

BITREID_AVX512 inline void load(Rows rows, std::size_t first, std::size_t n, const u8 *mask, bool ahead, u64 *tile) {
    ahead ? load_columns<true>(rows, first, n, mask, tile) : load_columns<false>(rows, first, n, mask, tile);
}

// Sixteen rows, as prepared columns, against some prepared queries.
template <std::size_t n_queries>
BITREID_AVX512 BITREID_INLINE void sixteen(const u64 *const *queries, const u64 *words, std::size_t n_words,
                                           u32 *out, std::size_t out_stride) {
    __m512i sums[n_queries][2], carries[n_queries][2];
    for (std::size_t q = 0; q < n_queries; q++)
        for (std::size_t half = 0; half < 2; half++) sums[q][half] = carries[q][half] = _mm512_setzero_si512();
    auto column = [&](std::size_t w, std::size_t half) BITREID_AVX512_LAMBDA {
        return _mm512_loadu_si512(words + 8 * (half * n_words + w));
    };
    auto word = [&](std::size_t q, std::size_t w) BITREID_AVX512_LAMBDA {
        return _mm512_set1_epi64(static_cast<long long>(queries[q][w]));
    };
    std::size_t w = 0;
    for (; w + 3 <= n_words; w += 3) {
        const __m512i of_rows[3][2] = {{column(w, 0), column(w, 1)},
                                       {column(w + 1, 0), column(w + 1, 1)},
                                       {column(w + 2, 0), column(w + 2, 1)}};
        for (std::size_t q = 0; q < n_queries; q++) {
            const __m512i one = word(q, w), two = word(q, w + 1), three = word(q, w + 2);
            for (std::size_t half = 0; half < 2; half++) {
                const __m512i x1 = _mm512_xor_si512(of_rows[0][half], one);
                const __m512i x2 = _mm512_xor_si512(of_rows[1][half], two);
                const __m512i s = _mm512_xor_si512(of_rows[2][half], three);
                const __m512i carry = _mm512_ternarylogic_epi64(x1, x2, s, 0xd4);
                sums[q][half] = _mm512_add_epi64(sums[q][half], _mm512_popcnt_epi64(s));
                carries[q][half] = _mm512_add_epi64(carries[q][half], _mm512_popcnt_epi64(carry));
            }
        }
    }
    for (; w < n_words; w++)
        for (std::size_t half = 0; half < 2; half++)
            for (std::size_t q = 0; q < n_queries; q++)
                sums[q][half] = _mm512_add_epi64(
                    sums[q][half], _mm512_popcnt_epi64(_mm512_xor_si512(column(w, half), word(q, w))));
    for (std::size_t q = 0; q < n_queries; q++)
        for (std::size_t half = 0; half < 2; half++)
            put8(out + q * out_stride + 8 * half,
                 _mm512_add_epi64(sums[q][half], _mm512_add_epi64(carries[q][half], carries[q][half])));
}

BITREID_AVX512 inline void block(const u64 *const *queries, std::size_t n_queries, const u64 *tile, std::size_t n,
                                 std::size_t n_words, u32 *out, std::size_t out_stride) {
    for (std::size_t i = 0; i < n; i += 16, tile += 16 * n_words, out += 16) switch (n_queries) {
            case 1: sixteen<1>(queries, tile, n_words, out, out_stride); break;
            case 2: sixteen<2>(queries, tile, n_words, out, out_stride); break;
            case 3: sixteen<3>(queries, tile, n_words, out, out_stride); break;
            default: sixteen<4>(queries, tile, n_words, out, out_stride);
        }
}

BITREID_AVX512 inline void sums(const i8 *values, Rows rows, const u64 *keys, std::size_t n, i32 *out) {
    const __m512i ones = _mm512_set1_epi8(1), wide_ones = _mm512_set1_epi16(1);
    for (std::size_t i = 0; i < n; i++) {
        const u8 *row = rows.at(keys[i] & kRowMask);
        if (i + 8 < n) fetch<3>(rows.at(keys[i + 8] & kRowMask), rows.n_bytes);
        __m512i sum = _mm512_setzero_si512();
        for (std::size_t j = 0; j < rows.n_bytes;) {
            __m512i pairs = _mm512_setzero_si512();
            // The bits of a row are the mask of the values that are loaded.
            for (int k = 0; k < kPairsAdded && j < rows.n_bytes; k++, j += 8) {
                const __mmask64 bits = load_word(row + j, rows.n_bytes - j);
                pairs = _mm512_add_epi16(pairs,
                                         _mm512_maddubs_epi16(ones, _mm512_maskz_loadu_epi8(bits, values + 8 * j)));
            }
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, wide_ones));
        }
        out[i] = _mm512_reduce_add_epi32(sum);
    }
}

}  // namespace bitreid::avx512
