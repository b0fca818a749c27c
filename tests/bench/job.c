/* job.c - the smallest program that can be supervised.
 *
 *   job FIFO MODE [NUMBER]
 *
 * Its first act is to read CLOCK_MONOTONIC; it then says "NUMBER PID NANOSECONDS"
 * on the fifo, in one atomic write, and goes on as MODE says: `wait` sleeps until
 * a signal ends it, `talk` first prints a line on each of its two outputs, `end`
 * exits with 0.
 *
 * There is no libc in it: what a C library does before main() would be measured
 * as if the supervisor had done it, and would make the limit look slower than it
 * is.  So it is linked without start files, has the two lines of assembly that
 * each machine needs, and nothing in it may be compiled with a stack protector,
 * whose canary would be read through a thread pointer that nobody has set. */
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#define NO_CANARY __attribute__((no_stack_protector))

#if defined(__x86_64__)
#define ENTRY "xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call job_main\n hlt\n"
NO_CANARY static inline long ask_kernel(long number, long a, long b, long c, long d)
{
    register long fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
#define ENTRY "mov x29, #0\n mov x0, sp\n and sp, x0, #-16\n bl job_main\n"
NO_CANARY static inline long ask_kernel(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "job.c: add the entry and the system call of this machine"
#endif

__asm__(".globl _start\n_start:\n " ENTRY);
_Noreturn void job_main(const long *stack);

NO_CANARY static char *put_number(char *to, unsigned long value)
{
    unsigned long unit = 1;
    while (value / unit >= 10)
        unit *= 10;
    for (; unit > 0; unit /= 10)
        *to++ = (char)('0' + value / unit % 10);
    return to;
}

NO_CANARY static void say(const char *fifo, const char *number, const struct timespec *now)
{
    char line[96], *end = line;
    for (size_t i = 0; number[i] != '\0' && i < 20; i++)
        *end++ = number[i];
    *end++ = ' ';
    end = put_number(end, (unsigned long)ask_kernel(SYS_getpid, 0, 0, 0, 0));
    *end++ = ' ';
    end = put_number(end, (unsigned long)now->tv_sec * 1000000000UL + (unsigned long)now->tv_nsec);
    *end++ = '\n';
    long fd = ask_kernel(SYS_openat, AT_FDCWD, (long)fifo, O_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0)
        ask_kernel(SYS_write, fd, (long)line, end - line, 0);
    ask_kernel(SYS_close, fd, 0, 0, 0);
}

NO_CANARY _Noreturn void job_main(const long *stack)
{
    struct timespec now;
    ask_kernel(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
    const char *const *argv = (const char *const *)(stack + 1);
    if (stack[0] < 3)
        ask_kernel(SYS_exit_group, 2, 0, 0, 0);
    say(argv[1], stack[0] > 3 ? argv[3] : "0", &now);
    if (argv[2][0] == 't')
        for (long stream = 1; stream <= 2; stream++)
            ask_kernel(SYS_write, stream, (long)"a line, as jobs print them\n", 27, 0);
    while (argv[2][0] != 'e')
        ask_kernel(SYS_ppoll, 0, 0, 0, 0);
    for (;;)
        ask_kernel(SYS_exit_group, 0, 0, 0, 0);
}
