/*
 * Ends the process with a sentence, rather than with SIGILL, on a processor that lacks what the
 * C++ code was compiled for. It runs from .preinit_array, before every static initialiser of
 * FAISS and of the shim, any of which may already contain such instructions. This file itself is
 * compiled for the first x86-64 and calls nothing but write and _exit.
 *
 * build.rs defines NEEDS_*; a generic build, or another architecture, defines none and checks
 * nothing. The shim refers to `pointd_cpu_checked`, so whatever links the one links the other.
 */

extern const char pointd_cpu_checked;
const char pointd_cpu_checked = 1;

#if defined(__x86_64__) && defined(__ELF__)

#include <cpuid.h>
#include <string.h>
#include <unistd.h>

/* EX_CONFIG of sysexits.h: running it again will not help. */
#define EXIT_WRONG_PROCESSOR 78

struct processor {
    unsigned leaf1_ecx;
    unsigned leaf7_ebx;
    unsigned xcr0;
};

static struct processor identify(void) {
    struct processor found = {0, 0, 0};
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d))
        found.leaf1_ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        found.leaf7_ebx = b;
    if (found.leaf1_ecx & bit_OSXSAVE) {
        __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        found.xcr0 = a;
    }
    return found;
}

static void append(char *text, const char *more) {
    strncat(text, more, 511 - strlen(text));
}

static void need(char *missing, int present, const char *name) {
    if (!present) {
        append(missing, missing[0] ? ", " : "");
        append(missing, name);
    }
}

static void check_processor(void) {
    struct processor cpu = identify();
    /* The operating system must save the wide registers, or they are as good as absent. */
    int ymm = (cpu.xcr0 & 0x6) == 0x6;
    int zmm = (cpu.xcr0 & 0xe6) == 0xe6;
    char missing[512] = "";
    (void)ymm, (void)zmm, (void)cpu;
#ifdef NEEDS_AVX
    need(missing, ymm && (cpu.leaf1_ecx & bit_AVX), "AVX");
#endif
#ifdef NEEDS_AVX2
    need(missing, ymm && (cpu.leaf7_ebx & bit_AVX2), "AVX2");
#endif
#ifdef NEEDS_FMA
    need(missing, ymm && (cpu.leaf1_ecx & bit_FMA), "FMA");
#endif
#ifdef NEEDS_F16C
    need(missing, ymm && (cpu.leaf1_ecx & bit_F16C), "F16C");
#endif
#ifdef NEEDS_BMI1
    need(missing, cpu.leaf7_ebx & bit_BMI, "BMI1");
#endif
#ifdef NEEDS_BMI2
    need(missing, cpu.leaf7_ebx & bit_BMI2, "BMI2");
#endif
#ifdef NEEDS_AVX512F
    need(missing, zmm && (cpu.leaf7_ebx & bit_AVX512F), "AVX512F");
#endif
    if (!missing[0])
        return;
    char line[1024] = "pointd: this build needs an x86-64-v3 processor or better; missing here: ";
    strncat(line, missing, 512);
    strncat(line,
            ". For an older processor, build it with "
            "CXXFLAGS_x86_64_unknown_linux_gnu=-march=x86-64 in .cargo/config.toml.\n",
            1023 - strlen(line));
    ssize_t written = write(2, line, strlen(line));
    (void)written;
    _exit(EXIT_WRONG_PROCESSOR);
}

__attribute__((section(".preinit_array"), used)) static void (*const check_first)(void) =
        check_processor;

#endif
