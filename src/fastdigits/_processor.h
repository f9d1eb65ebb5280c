/* Instruction sets that the processor has and the operating system saves when it switches threads. */
#ifndef FASTDIGITS_PROCESSOR_H
#define FASTDIGITS_PROCESSOR_H

#if defined(__x86_64__) && defined(__GNUC__)
static inline int supports_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi");
}
static inline int supports_avx512(void) {
    return supports_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
static inline int supports_avx2(void) { return 0; }
static inline int supports_avx512(void) { return 0; }
#endif

#endif
