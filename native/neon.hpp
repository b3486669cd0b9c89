// NEON, which every 64-bit ARM processor has.
#pragma once

#include <arm_neon.h>

#include "scalar.hpp"

namespace bitreid::neon {

inline bool runs_here() { return true; }

inline u32 distance(const u8 *query, const u8 *row, std::size_t n_bytes, const u8 *mask) {
    uint64x2_t sums = vdupq_n_u64(0);
    std::size_t i = 0;
    while (i + 16 <= n_bytes) {
        // A byte of counts holds 31 vectors (31 * 8 = 248).
        uint8x16_t counts = vdupq_n_u8(0);
        for (int j = 0; j < 31 && i + 16 <= n_bytes; j++, i += 16) {
            uint8x16_t differ = veorq_u8(vld1q_u8(query + i), vld1q_u8(row + i));
            if (mask) differ = vandq_u8(differ, vld1q_u8(mask + i));
            counts = vaddq_u8(counts, vcntq_u8(differ));
        }
        sums = vpadalq_u32(sums, vpaddlq_u16(vpaddlq_u8(counts)));
    }
    u32 sum = static_cast<u32>(vaddvq_u64(sums));
    for (; i < n_bytes; i += 8) {
        u64 differ = load_word(query + i, n_bytes - i) ^ load_word(row + i, n_bytes - i);
        if (mask) differ &= load_word(mask + i, n_bytes - i);
        sum += vaddv_u8(vcnt_u8(vcreate_u8(differ)));
    }
    return sum;
}

inline void scan(const u8 *query, Rows rows, std::size_t first, std::size_t n, const u8 *mask, u32 *out,
                 const u8 *) {
    for (std::size_t i = 0; i < n; i++) out[i] = distance(query, rows.at(first + i), rows.n_bytes, mask);
}

inline void gather(const u8 *query, Rows rows, const u64 *keys, std::size_t n, const u8 *mask, u32 *out) {
    for (std::size_t i = 0; i < n; i++) {
        if (i + 8 < n) fetch<3>(rows.at(keys[i + 8] & kRowMask), rows.n_bytes);
        out[i] = distance(query, rows.at(keys[i] & kRowMask), rows.n_bytes, mask);
    }
}

inline void sums(const i8 *values, Rows rows, const u64 *keys, std::size_t n, i32 *out) {
    const uint8x8_t each = vcreate_u8(0x8040201008040201);
    const uint8x16_t places = vcombine_u8(each, each);
    for (std::size_t i = 0; i < n; i++) {
        const u8 *row = rows.at(keys[i] & kRowMask);
        if (i + 8 < n) fetch<3>(rows.at(keys[i + 8] & kRowMask), rows.n_bytes);
        int32x4_t sum = vdupq_n_s32(0);
        for (std::size_t j = 0; j < rows.n_bytes;) {
            int16x8_t pairs = vdupq_n_s16(0);
            for (int k = 0; k < kPairsAdded && j < rows.n_bytes; k++, j += 2) {
                const u8 second = j + 1 < rows.n_bytes ? row[j + 1] : u8{0};
                const uint8x16_t bits = vtstq_u8(vcombine_u8(vdup_n_u8(row[j]), vdup_n_u8(second)), places);
                pairs = vpadalq_s8(pairs, vandq_s8(vld1q_s8(values + 8 * j), vreinterpretq_s8_u8(bits)));
            }
            sum = vpadalq_s16(sum, pairs);
        }
        out[i] = vaddvq_s32(sum);
    }
}

}  // namespace bitreid::neon
