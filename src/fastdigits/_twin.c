/* The entry point of a twin: raise ImportError on a processor without the twin's instruction set.
 *
 * All code that Cython generates for a twin, its initialisation too, is compiled with the twin's flags. setup.py
 * compiles this file once per twin with the baseline's flags, and renames the entry point that Cython generates. */
#include <Python.h>

#include "_processor.h"

#if defined(TWIN_AVX2)
#define NEEDED "AVX2, FMA and BMI"
#define SUPPORTED supports_avx2()
#define ENTRY PyInit__kernels_avx2
#define UNCHECKED unchecked_avx2
#elif defined(TWIN_AVX512)
#define NEEDED "AVX-512 (F, BW, DQ and VL)"
#define SUPPORTED supports_avx512()
#define ENTRY PyInit__kernels_avx512
#define UNCHECKED unchecked_avx512
#endif

PyMODINIT_FUNC UNCHECKED(void);

PyMODINIT_FUNC ENTRY(void) {
    if (SUPPORTED) return UNCHECKED();
    PyErr_Format(PyExc_ImportError,
                 "this module needs a processor and an operating system with " NEEDED "; this machine lacks it: "
                 "use fastdigits._kernels%s instead; `import fastdigits` selects it automatically",
                 supports_avx2() ? "_avx2" : "");
    return NULL;
}
