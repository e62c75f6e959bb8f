/* Fibers: stacks between which one thread of the host switches, and of whose changes
 * AddressSanitizer is told. There is one scheduler, the stack that resumes fibers. On x86-64 a few
 * lines of assembly switch; elsewhere, and with SIMT_UCONTEXT defined, libc's swapcontext does.
 */
#pragma once

namespace simt {

struct Stack {
    void *context; // where the fiber stands; fiber.cpp knows what it is
    char *memory = nullptr;
    void *fake = nullptr; // AddressSanitizer's
};

/* Runs the fiber until it yields. The first time it begins with `entry`, which never returns. */
void fiber_resume(Stack &fiber, void (*entry)());

/* First thing of an entry. */
void fiber_begin();

/* Goes back to the scheduler; returns when the fiber is resumed. */
void fiber_yield(Stack &fiber);

} // namespace simt
