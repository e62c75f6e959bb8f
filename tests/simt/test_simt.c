/* The executor itself: sound kernels run, and every broken one is reported. */
#include <criterion/criterion.h>

#include <math.h>     // isnan
#include <stdio.h>    // snprintf
#include <stdlib.h>   // exit
#include <string.h>   // memcmp
#include <sys/wait.h> // waitpid
#include <unistd.h>   // fork

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h> // __sanitizer_set_report_fd
#include <stdint.h>                          // intptr_t
#endif

#include "broken.h"           // the kernels
#include "cuda_runtime_api.h" // cudaMalloc

enum { N = BROKEN_THREADS, SCHEDULES = 4, TEXT = 4096 };

typedef struct device {
    float *out, *in;
} device;

static device device_make(void) {
    device d;
    float host[N];
    for (int i = 0; i < N; i++) host[i] = (float)i;
    cr_assert(cudaMalloc((void **)&d.out, sizeof host) == cudaSuccess);
    cr_assert(cudaMalloc((void **)&d.in, sizeof host) == cudaSuccess);
    cudaMemcpy(d.in, host, sizeof host, cudaMemcpyHostToDevice);
    return d;
}

/* The result under one schedule; outputs begin as NaN. */
static void run(float *result, broken_kernel *kernel, unsigned schedule) {
    const device d = device_make();
    simt_schedule(schedule);
    kernel(d.out, d.in);
    cudaMemcpy(result, d.out, N * sizeof(float), cudaMemcpyDeviceToHost);
    cudaFree(d.out);
    cudaFree(d.in);
}

static bool depends_on_schedule(broken_kernel *kernel) {
    float first[N], other[N];
    run(first, kernel, 0);
    bool differs = false;
    for (unsigned s = 1; s < SCHEDULES; s++) {
        run(other, kernel, s);
        differs = differs || memcmp(first, other, sizeof first) != 0;
    }
    return differs;
}

static bool has_nan(broken_kernel *kernel) {
    float result[N];
    run(result, kernel, 0);
    for (int i = 0; i < N; i++) {
        if (isnan(result[i])) return true;
    }
    return false;
}

/* Runs the kernel in a process of its own, which has to die with `text` on standard error. */
static void dies_with(broken_kernel *kernel, const char *name, const char *text) {
    int ends[2], status;
    cr_assert(pipe(ends) == 0);
    fflush(NULL);
    const pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        float result[N];
        dup2(ends[1], STDERR_FILENO);
#ifdef __SANITIZE_ADDRESS__
        __sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);
#endif
        run(result, kernel, 0);
        _exit(0);
    }
    close(ends[1]);
    char said[TEXT] = "";
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], said + length, TEXT - 1 - length)) > 0;) {
        length += (size_t)got;
        if (length == TEXT - 1) break;
    }
    said[length] = '\0';
    close(ends[0]);
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(!(WIFEXITED(status) && WEXITSTATUS(status) == 0), "%s: ended well", name);
    cr_expect(strstr(said, text) != NULL, "%s: wanted '%s', got '%s'", name, text, said);
}
#define DIES_WITH(kernel, text) dies_with(kernel, #kernel, text)

// --- sound kernels ---

Test(simt, sound_kernels_run_under_every_schedule) {
    for (unsigned s = 0; s < SCHEDULES; s++) {
        float result[N];
        run(result, sound_reverse, s);
        for (int i = 0; i < N; i++) cr_assert(result[i] == (float)(N - 1 - i));
        run(result, sound_sum, s);
        for (int i = 0; i < N; i++) cr_assert(result[i] == (float)(N * (N - 1) / 2));
        run(result, sound_sums, s);
        for (int i = 0; i < N; i++) cr_assert(result[i] == (float)(N * (N - 1) / 2));
    }
}

// --- streams, captures, graphs ---

static int worked;

static void work(void *argument) {
    worked += *(int *)argument;
}

/* Two streams, and the events by which one forks from the other and joins it. */
typedef struct device_work {
    cudaStream_t stream, branch;
    cudaEvent_t forked, joined;
} device_work;

static device_work work_make(void) {
    device_work w;
    cudaStreamCreateWithFlags(&w.stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&w.branch, cudaStreamNonBlocking);
    cudaEventCreate(&w.forked);
    cudaEventCreate(&w.joined);
    return w;
}

static void work_free(device_work w) {
    cudaEventDestroy(w.joined);
    cudaEventDestroy(w.forked);
    cudaStreamDestroy(w.branch);
    cudaStreamDestroy(w.stream);
}

static void fork_branch(device_work w) {
    cudaEventRecord(w.forked, w.stream);
    cudaStreamWaitEvent(w.branch, w.forked, 0);
}

static void join_branch(device_work w) {
    cudaEventRecord(w.joined, w.branch);
    cudaStreamWaitEvent(w.stream, w.joined, 0);
}

static char order[16];

static void note(void *letter) {
    strncat(order, letter, 1);
}

Test(simt, a_graph_does_at_launch_what_was_captured) {
    int one = 1;
    float a[4] = {1, 2, 3, 4}, b[4] = {0};
    const device_work w = work_make();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cr_assert(cudaStreamBeginCapture(w.stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    simt_submit(w.stream, work, &one);
    fork_branch(w);
    cudaMemcpyAsync(b, a, sizeof a, cudaMemcpyDeviceToDevice, w.branch);
    join_branch(w);
    cr_assert(cudaStreamEndCapture(w.stream, &graph) == cudaSuccess);
    cr_assert(worked == 0 && b[0] == 0, "nothing runs during the capture");
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    a[0] = 7;
    for (int i = 0; i < 3; i++) cudaGraphLaunch(exec, w.stream);
    cr_assert(worked == 3 && b[0] == 7 && b[3] == 4);
    simt_submit(w.branch, work, &one);
    cr_assert(worked == 4, "the branch is free again");
    cudaGraphExecDestroy(exec);
    work_free(w);
}

Test(simt, a_branch_that_was_never_joined_is_an_error) {
    int one = 1;
    const device_work w = work_make();
    cudaGraph_t graph;
    for (int joined = 0; joined < 2; joined++) {
        cr_assert(cudaStreamBeginCapture(w.stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
        fork_branch(w);
        simt_submit(w.branch, work, &one);
        join_branch(w);
        if (!joined) simt_submit(w.branch, work, &one);
        const cudaError_t status = cudaStreamEndCapture(w.stream, &graph);
        cr_assert(status == (joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
        cr_assert((graph != NULL) == joined);
        if (graph) cudaGraphDestroy(graph);
    }
    work_free(w);
}

Test(simt, a_capture_that_waits_for_work_outside_is_an_error) {
    const device_work w = work_make();
    cudaGraph_t graph;
    cudaEventRecord(w.joined, w.branch);
    cr_assert(cudaStreamBeginCapture(w.stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    cr_assert(cudaStreamWaitEvent(w.stream, w.joined, 0) == cudaErrorStreamCaptureIsolation);
    cr_assert(cudaStreamEndCapture(w.stream, &graph) == cudaErrorStreamCaptureInvalidated);
    cr_assert(!graph);
    cr_assert(cudaStreamBeginCapture(w.stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    cudaEventRecord(w.forked, w.stream);
    cr_assert(cudaStreamEndCapture(w.stream, &graph) == cudaSuccess);
    cr_assert(cudaStreamWaitEvent(w.branch, w.forked, 0) == cudaErrorCapturedEvent);
    cudaGraphDestroy(graph);
    work_free(w);
}

/* a, then b and c on two branches, then d. */
static void capture_diamond(cudaGraphExec_t *exec, device_work w) {
    cudaGraph_t graph;
    cudaStreamBeginCapture(w.stream, cudaStreamCaptureModeGlobal);
    simt_submit(w.stream, note, "a");
    fork_branch(w);
    simt_submit(w.branch, note, "b");
    simt_submit(w.stream, note, "c");
    join_branch(w);
    simt_submit(w.stream, note, "d");
    cr_assert(cudaStreamEndCapture(w.stream, &graph) == cudaSuccess);
    cudaGraphInstantiate(exec, graph, 0);
    cudaGraphDestroy(graph);
}

Test(simt, a_graph_runs_in_any_order_that_its_edges_allow) {
    const device_work w = work_make();
    cudaGraphExec_t exec;
    capture_diamond(&exec, w);
    int seen[2] = {0, 0};
    for (unsigned s = 0; s < 16; s++) {
        simt_schedule(s);
        order[0] = '\0';
        cudaGraphLaunch(exec, w.stream);
        simt_submit(w.stream, note, "e");
        cudaStreamSynchronize(w.stream);
        cr_assert(!strcmp(order, "abcde") || !strcmp(order, "acbde"), "%s", order);
        seen[order[1] == 'c']++;
    }
    cr_assert(seen[0] > 2 && seen[1] > 2, "both orders: %d, %d", seen[0], seen[1]);
    cudaGraphExecDestroy(exec);
    work_free(w);
}

Test(simt, streams_wait_for_nothing_that_they_were_not_told_to) {
    const device_work w = work_make();
    cudaStream_t blocking;
    cudaStreamCreate(&blocking);
    simt_schedule(1);
    simt_submit(w.stream, note, "a");
    simt_submit(w.branch, note, "b");
    cr_assert(!strcmp(order, ""), "nobody has waited yet");
    cudaStreamSynchronize(w.branch);
    cr_assert(!strcmp(order, "b"));
    fork_branch(w);
    simt_submit(w.branch, note, "c");
    cudaStreamSynchronize(w.branch);
    cr_assert(!strcmp(order, "bac"));
    simt_submit(NULL, note, "d");
    simt_submit(w.stream, note, "e");
    simt_submit(blocking, note, "f");
    cudaStreamSynchronize(w.stream);
    cr_assert(!strcmp(order, "bace"), "a non-blocking stream does not wait for the default one");
    cudaStreamSynchronize(blocking);
    cr_assert(!strcmp(order, "bacedf"));
    cudaStreamDestroy(blocking);
    work_free(w);
}

/* What a stream sees of a copy to the device that was made by the default stream. */
static float seen_of_copy(bool waits) {
    const device_work w = work_make();
    float *there, *seen, host = 5;
    cr_assert(cudaMalloc((void **)&there, sizeof *there) == cudaSuccess);
    cr_assert(cudaMallocHost((void **)&seen, sizeof *seen) == cudaSuccess);
    cudaMemcpy(there, &host, sizeof host, cudaMemcpyHostToDevice);
    host = 6;
    if (waits) cudaStreamSynchronize(NULL);
    cudaMemcpyAsync(seen, there, sizeof *seen, cudaMemcpyDeviceToHost, w.stream);
    cudaStreamSynchronize(w.stream);
    const float result = *seen;
    cudaFree(there);
    cudaFreeHost(seen);
    work_free(w);
    return result;
}

Test(simt, a_copy_to_the_device_may_come_after_it_returned) {
    simt_schedule(1);
    cr_assert(isnan(seen_of_copy(false)));
    cr_assert(seen_of_copy(true) == 5);
}

Test(simt, a_copy_that_does_not_wait_reads_and_writes_the_host_late) {
    simt_schedule(1);
    const device_work w = work_make();
    float *there, host = 5, back = 0;
    cr_assert(cudaMalloc((void **)&there, sizeof *there) == cudaSuccess);
    cudaMemcpyAsync(there, &host, sizeof host, cudaMemcpyHostToDevice, w.stream);
    cudaMemcpyAsync(&back, there, sizeof back, cudaMemcpyDeviceToHost, w.stream);
    host = 6;
    cr_assert(back == 0);
    cudaStreamSynchronize(w.stream);
    cr_assert(back == 6);
    cudaFree(there);
    work_free(w);
}

Test(simt, a_device_that_is_full_says_so) {
    void *memory;
    cr_assert(cudaMalloc(&memory, (size_t)1 << 40) == cudaErrorMemoryAllocation);
}

// --- faults that show in the result ---

Test(simt, a_race_depends_on_the_schedule) {
    cr_expect(!depends_on_schedule(sound_reverse));
    cr_expect(!depends_on_schedule(sound_sum));
    cr_expect(depends_on_schedule(missing_barrier));
    cr_expect(depends_on_schedule(missing_syncwarp));
    cr_expect(depends_on_schedule(race_of_blocks));
    cr_expect(depends_on_schedule(counts_down));
}

Test(simt, unwritten_shared_memory_is_nan) {
    cr_expect(!has_nan(sound_reverse));
    cr_expect(has_nan(uninitialised));
    cr_expect(has_nan(dynamic_unwritten));
}

// --- faults that end the program ---

Test(simt, barriers_and_warps_are_checked) {
    DIES_WITH(divergent_barrier, "divergent barrier");
    DIES_WITH(barrier_and_warp, "deadlock");
    DIES_WITH(missing_lane, "missing lane 7");
    DIES_WITH(wrong_mask, "not in its own mask");
    DIES_WITH(other_mask, "disagree");
    DIES_WITH(reads_outsider, "does not name");
    DIES_WITH(other_function, "disagree");
}

Test(simt, launch_limits_are_checked) {
    DIES_WITH(too_many_threads, "launch limits");
    DIES_WITH(too_many_blocks, "launch limits");
    DIES_WITH(too_much_shared, "launch limits");
    DIES_WITH(nothing_to_do, "launch limits");
}

Test(simt, memory_spaces_are_checked) {
    DIES_WITH(ldg_of_shared, "__ldg of shared memory");
}

Test(simt, captures_are_checked) {
    DIES_WITH(waits_in_capture, "an allocation while a stream is being captured");
    DIES_WITH(captured_unloaded, "captured before it ever ran");
    DIES_WITH(outside_of_capture, "default stream while another is being captured");
}

#ifdef __SANITIZE_ADDRESS__
Test(simt, addresses_are_checked) {
    DIES_WITH(past_shared, "index 64 out of bounds");
    DIES_WITH(past_dynamic, "AddressSanitizer: heap-buffer-overflow");
    DIES_WITH(past_global, "AddressSanitizer: heap-buffer-overflow");
    DIES_WITH(past_odd_global, "AddressSanitizer: heap-buffer-overflow");
}
#endif
