/* simt_bytes.h: launches, and which sectors each has touched. counted.cpp tells of the accesses. */
#include "simt_bytes.h"

#include <cstdio> // snprintf
#include <map>    // std::map
#include <string> // std::string
#include <vector> // std::vector

#include "simt.h" // simt::find_references

namespace {

constexpr uintptr_t kSector = 32;
constexpr uintptr_t kChunk = 256; // allocations begin at a multiple

/* An allocation, and the launch that last touched each of its sectors. */
struct Tensor {
    uintptr_t begin = 0, size = 0;
    std::vector<uint32_t> seen[SIMT_WAYS];
    simt_bytes sum = {};
};

struct Line {
    uintptr_t chunk;
    Tensor *tensor; // NULL: no memory of the device
};

bool watching;
simt_bytes *counted; // of the kernel that is running, or NULL
std::vector<simt_launch> launches;
std::map<uint64_t, Tensor> tensors; // by the allocation's number
Line lines[4096];                   // what was looked up in this launch

Tensor *look_up(uintptr_t chunk) {
    const uintptr_t address = chunk * kChunk;
    simt::References found;
    simt::find_references(found, &address, sizeof address);
    if (found.empty()) return nullptr;
    Tensor &t = tensors[found[0].number];
    if (t.size == 0) {
        t.begin = reinterpret_cast<uintptr_t>(found[0].memory);
        t.size = found[0].size;
        for (auto &seen : t.seen) seen.resize((t.size + kSector - 1) / kSector);
    }
    return &t;
}

} // namespace

namespace simt {

void touch(const void *p, size_t size, int way) {
    if (!counted || size == 0) return;
    const auto at = reinterpret_cast<uintptr_t>(p);
    Line &line = lines[at / kChunk % (sizeof lines / sizeof *lines)];
    if (line.chunk != at / kChunk) line = {at / kChunk, look_up(at / kChunk)};
    Tensor *t = line.tensor;
    if (!t || at < t->begin || at + size > t->begin + t->size) return;
    const auto launch = static_cast<uint32_t>(launches.size());
    const auto asked = static_cast<int64_t>(size);
    counted->asked[way] += asked;
    t->sum.asked[way] += asked;
    const uintptr_t offset = at - t->begin;
    for (uintptr_t s = offset / kSector; s <= (offset + size - 1) / kSector; s++) {
        if (t->seen[way][s] == launch) continue;
        t->seen[way][s] = launch;
        const uintptr_t left = t->size - s * kSector;
        const auto moved = static_cast<int64_t>(left < kSector ? left : kSector);
        counted->once[way] += moved;
        t->sum.once[way] += moved;
    }
}

} // namespace simt

namespace {

simt_launch named(const char *name) {
    simt_launch l = {};
    while (*name == '(') name++;
    snprintf(l.name, sizeof l.name, "%.*s", static_cast<int>(strcspn(name, "<)")), name);
    return l;
}

} // namespace

namespace simt {

void begin_counting(const char *kernel) {
    if (!watching) return;
    launches.push_back(named(kernel));
    counted = &launches.back().bytes;
    for (Line &line : lines) line = {0, nullptr};
}

void end_counting() {
    counted = nullptr;
}

} // namespace simt

void simt_bytes_watch(bool on) {
    simt::finish_all();
    watching = on;
    if (!on) return;
    launches.clear();
    tensors.clear();
}

size_t simt_bytes_launches(const simt_launch **list) {
    *list = launches.data();
    return launches.size();
}

simt_bytes simt_bytes_of(const void *memory) {
    simt::References found;
    simt::find_references(found, &memory, sizeof memory);
    const auto it = found.empty() ? tensors.end() : tensors.find(found[0].number);
    return it == tensors.end() ? simt_bytes{} : it->second.sum;
}

void simt_bytes_moved(const char *name, int64_t read, int64_t written) {
    if (!watching) return;
    launches.push_back(named(name));
    launches.back().bytes = {{read, written}, {read, written}};
}
