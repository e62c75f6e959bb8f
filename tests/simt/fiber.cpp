/* fiber.h */
#include "fiber.h"

#include "simt.h" // report

#include <cstdint> // uint64_t

#include <dlfcn.h>    // dlsym
#include <sys/mman.h> // mmap
#include <ucontext.h> // swapcontext

#if defined(__has_feature) && !defined(__SANITIZE_ADDRESS__) // clang's; gcc 14 has both
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h> // __sanitizer_start_switch_fiber
#else
static void __sanitizer_start_switch_fiber(void **, const void *, size_t) {
}
static void __sanitizer_finish_switch_fiber(void *, const void **, size_t *) {
}
#endif

#if defined(__x86_64__) && !defined(SIMT_UCONTEXT)
#define SIMT_SWITCH

/* A context is a stack pointer: below it lie the registers that a call must keep and the address
 * to go on at. Several times as fast as swapcontext, which asks the kernel for the signal mask. The
 * mode of floating point is nobody's own: fibers compute in the mode of whoever launches. */
asm(R"(
    .text
    .p2align 4
    .type simt_switch, @function
simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size simt_switch, . - simt_switch
)");
extern "C" void simt_switch(void **from, void *const *to);
#endif

namespace simt {
namespace {

constexpr size_t kStack = 128 * 1024, kGuard = 4096;

const void *scheduler_stack;
size_t scheduler_size;

#ifdef SIMT_SWITCH

void *scheduler;

void begin_at(Stack &f, void (*entry)()) {
    enum { kSaved = 6 };
    auto top = reinterpret_cast<uint64_t *>(f.memory + kStack) - 2;
    *--top = 0; // where entry's caller would be: ends a walk of the stack, and aligns it
    *--top = reinterpret_cast<uint64_t>(entry);
    for (int i = 0; i < kSaved; i++) *--top = 0;
    f.context = top;
}

void enter(Stack &f) {
    simt_switch(&scheduler, &f.context);
}
void leave(Stack &f) {
    simt_switch(&f.context, &scheduler);
}

#else

ucontext_t scheduler;

/* libc's own swapcontext: the sanitizer's wrapper warns of what the annotations here put right. */
void change(ucontext_t *from, const ucontext_t *to) {
    using Swap = int (*)(ucontext_t *, const ucontext_t *);
    static const Swap swap =
        reinterpret_cast<Swap>(dlsym(dlopen("libc.so.6", RTLD_LAZY), "swapcontext"));
    if (!swap || swap(from, to) != 0) report("cannot switch to another fiber");
}

void begin_at(Stack &f, void (*entry)()) {
    auto *context = new ucontext_t; // lives as long as the program, like the fiber
    getcontext(context);
    context->uc_stack.ss_sp = f.memory;
    context->uc_stack.ss_size = kStack;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    f.context = context;
}

void enter(Stack &f) {
    change(&scheduler, static_cast<ucontext_t *>(f.context));
}
void leave(Stack &f) {
    change(static_cast<ucontext_t *>(f.context), &scheduler);
}

#endif

void make(Stack &f, void (*entry)()) {
    void *memory = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) report("no stack");
    f.memory = static_cast<char *>(memory) + kGuard;
    begin_at(f, entry);
}

} // namespace

void fiber_resume(Stack &f, void (*entry)()) {
    if (!f.memory) make(f, entry);
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, f.memory, kStack);
    enter(f);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void fiber_begin() {
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_size);
}

void fiber_yield(Stack &f) {
    __sanitizer_start_switch_fiber(&f.fake, scheduler_stack, scheduler_size);
    leave(f);
    __sanitizer_finish_switch_fiber(f.fake, &scheduler_stack, &scheduler_size);
}

} // namespace simt
