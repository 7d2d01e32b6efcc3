// Functions marked PYXAI_VECTOR_CLONES are compiled for wider vectors too; the processor picks one
// when the library is loaded, so wheels stay baseline x86-64.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(PYXAI_SANITIZE)
#define PYXAI_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
// Sanitizers start after the choice is made, and other compilers spell it otherwise.
#define PYXAI_VECTOR_CLONES
#endif

// For what such functions call: a call would leave the clone.
#if defined(__GNUC__)
#define PYXAI_INLINE static inline __attribute__((always_inline))
#else
#define PYXAI_INLINE static inline
#endif
