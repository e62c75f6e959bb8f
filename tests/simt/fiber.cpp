/* fiber.h */
#include "fiber.h"

#include "simt.h" // report

#include <dlfcn.h>    // dlsym
#include <sys/mman.h> // mmap

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h> // __sanitizer_start_switch_fiber
#else
static void __sanitizer_start_switch_fiber(void **, const void *, size_t) {
}
static void __sanitizer_finish_switch_fiber(void *, const void **, size_t *) {
}
#endif

namespace simt {
namespace {

constexpr size_t kStack = 128 * 1024, kGuard = 4096;

ucontext_t scheduler;
const void *scheduler_stack;
size_t scheduler_size;

/* libc's own swapcontext: the sanitizer's wrapper warns of what the annotations here put right. */
void change(ucontext_t *from, const ucontext_t *to) {
    using Swap = int (*)(ucontext_t *, const ucontext_t *);
    static const Swap swap =
        reinterpret_cast<Swap>(dlsym(dlopen("libc.so.6", RTLD_LAZY), "swapcontext"));
    if (!swap || swap(from, to) != 0) report("cannot switch to another fiber");
}

void make(Stack &f, void (*entry)()) {
    void *memory = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) report("no stack");
    f.memory = static_cast<char *>(memory) + kGuard;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.memory;
    f.context.uc_stack.ss_size = kStack;
    f.context.uc_link = nullptr;
    makecontext(&f.context, entry, 0);
}

} // namespace

void fiber_resume(Stack &f, void (*entry)()) {
    if (!f.memory) make(f, entry);
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, f.memory, kStack);
    change(&scheduler, &f.context);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void fiber_begin() {
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_size);
}

void fiber_yield(Stack &f) {
    __sanitizer_start_switch_fiber(&f.fake, scheduler_stack, scheduler_size);
    change(&f.context, &scheduler);
    __sanitizer_finish_switch_fiber(f.fake, &scheduler_stack, &scheduler_size);
}

} // namespace simt
