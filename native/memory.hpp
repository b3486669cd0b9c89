// Memory for numbers that are written before they are read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

// AddressSanitizer sees what is written past the end of a block only.
#if defined(__SANITIZE_ADDRESS__)
#define BITREID_EXACT_BLOCKS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BITREID_EXACT_BLOCKS
#endif
#endif

namespace bitreid {

using std::size_t;

// Memory that a thread has used and will soon use again: the system would clear it each time.
class Spare {
public:
    ~Spare() {
        for (auto [data, size] : blocks_) std::free(data);
    }
    // A block of at least `size` bytes, and how many.
    std::pair<void *, size_t> take(size_t size) {
        for (auto &block : blocks_)
            if (block.second >= size && block.second <= kLargest * size) {
                const auto taken = std::exchange(block, blocks_.back());
                blocks_.pop_back();
                held_ -= taken.second;
                return taken;
            }
        void *data = std::malloc(size);
        if (!data) throw std::bad_alloc();
        return {data, size};
    }
    void give(void *data, size_t size) noexcept {
        if (held_ + size > kHeld || blocks_.size() == kBlocks) {
            std::free(data);
            return;
        }
        blocks_.emplace_back(data, size);
        held_ += size;
    }
    static Spare &mine() {
        thread_local Spare spare;
        return spare;
    }

private:
    static constexpr size_t kHeld = 64 << 20, kBlocks = 256;
    // A block may be at most this many times as large as what is asked for.
#ifdef BITREID_EXACT_BLOCKS
    static constexpr size_t kLargest = 1;
#else
    static constexpr size_t kLargest = 4;
#endif
    Spare() { blocks_.reserve(kBlocks); }
    std::vector<std::pair<void *, size_t>> blocks_;
    size_t held_ = 0;
};

// Numbers without the cost of setting them.
template <typename T>
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
    Buffer &operator=(Buffer &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(capacity_, other.capacity_);
        return *this;
    }
    ~Buffer() {
        if (data_) Spare::mine().give(data_, capacity_ * sizeof(T));
    }
    T *get() { return data_; }
    T &operator[](size_t i) { return data_[i]; }
    size_t capacity() const { return capacity_; }
    // Room for `capacity` numbers, of which the first `n_kept` stay.
    void grow(size_t capacity, size_t n_kept = 0) {
        if (capacity <= capacity_) return;
        const auto [data, size] = Spare::mine().take(std::max(capacity, 2 * capacity_) * sizeof(T));
        if (n_kept) std::memcpy(data, data_, n_kept * sizeof(T));
        if (data_) Spare::mine().give(data_, capacity_ * sizeof(T));
        data_ = static_cast<T *>(data);
        capacity_ = size / sizeof(T);
    }

private:
    T *data_ = nullptr;
    size_t capacity_ = 0;
};

}  // namespace bitreid
