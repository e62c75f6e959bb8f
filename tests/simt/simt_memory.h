/* The device's memory, which is memory of the host, each allocation as large as was asked for, so
 * that AddressSanitizer sees what goes past its end; the calls that are made to fail; copies. Only
 * simt_runtime.cpp includes this.
 *
 * A copy is as late as the real one may be: a waiting copy to the device, or a fill, waits for
 * nothing but that the host's bytes have been read. One that does not wait may read and write them
 * at any time, in pageable memory too: that it is staged there is not promised, and where the device
 * reaches the host's memory it is not.
 */
#pragma once

#include "simt_stream.h"

#include <cstdlib> // posix_memalign
#include <map>     // std::map

namespace {

struct Allocation {
    size_t size;
    uint64_t number; // memory that comes again at the same address has another
};
std::map<const void *, Allocation> allocations;
uint64_t allocations_made;
size_t allocated, capacity = size_t{4} << 30;
int events, graphs;                // alive
cudaError_t lasting = cudaSuccess; // see simt_break

// --- calls that fail: simt_fail_at ---

struct {
    const char *name; // of the function, or NULL: any
    long at;          // the call that fails, 0: none
    cudaError_t error;
    bool stays;                       // the error is that of all calls after
    std::vector<const char *> called; // since
} fault;
cudaError_t last_error; // of the calls since cudaGetLastError

cudaError_t fault_of(const char *name) {
    if (fault.name && strcmp(fault.name, name) != 0) return cudaSuccess;
    fault.called.push_back(name);
    const bool now = static_cast<long>(fault.called.size()) == fault.at;
    if (now && fault.stays) lasting = fault.error;
    if (lasting) return lasting;
    return simt::kept(now ? fault.error : cudaSuccess);
}

/* At the head of a function that does nothing where it fails. */
#define MAY_FAIL()                                                                                 \
    do {                                                                                           \
        const cudaError_t error_ = fault_of(__func__);                                             \
        if (error_) return error_;                                                                 \
    } while (0)

cudaError_t allocate(void **memory, size_t size, bool device) {
    not_while_capturing("an allocation");
    if (size > capacity - allocated) return cudaErrorMemoryAllocation;
    if (posix_memalign(memory, 256, size) != 0) return cudaErrorMemoryAllocation;
    if (device) memset(*memory, 0xff, size); // every float a NaN
    allocations[*memory] = {size, ++allocations_made};
    allocated += size;
    return cudaSuccess;
}

cudaError_t release(void *memory) {
    not_while_capturing("a release");
    if (!memory) return cudaSuccess;
    const auto it = allocations.find(memory);
    if (it == allocations.end()) simt::report("freed what was not allocated");
    simt::finish_all();
    allocated -= it->second.size;
    allocations.erase(it);
    free(memory);
    return cudaSuccess;
}

/* The allocation that holds an address, or the end. */
auto allocation_of(const void *p) {
    auto it = allocations.upper_bound(p);
    if (it == allocations.begin()) return allocations.end();
    --it;
    const bool inside =
        static_cast<const char *>(p) < static_cast<const char *>(it->first) + it->second.size;
    return inside ? it : allocations.end();
}

/* Memory of the host that the runtime did not give. */
bool is_pageable(const void *p) {
    return allocation_of(p) == allocations.end();
}

/* A graph keeps addresses: whether what they meant when it was captured is still there. */
void check_references(const Node &node) {
    for (const simt::Reference &r : node.references) {
        const auto it = allocations.find(r.memory);
        if (it == allocations.end() || it->second.number != r.number)
            simt::report("a graph is launched whose %s refers to memory that was freed", node.name);
    }
}

/* stage: the host's bytes are read at once. */
void copy(void *to, const void *from, size_t size, bool stage, cudaStream_t stream) {
    if (size == 0) return;
    if (stage) {
        const auto bytes = static_cast<const char *>(from);
        const auto staged = std::make_shared<std::vector<char>>(bytes, bytes + size);
        simt::submit(stream, [=] { memcpy(to, staged->data(), size); });
    } else {
        simt::References both;
        simt::find_references(both, &to, sizeof to);
        simt::find_references(both, &from, sizeof from);
        simt::submit(
            stream, [=] { memcpy(to, from, size); }, "copy", std::move(both));
    }
}

} // namespace
