/// \file
/// The instruction set that this translation unit is compiled for. It names an inline namespace, so that objects
/// compiled with different -m flags can be linked into one program.
#pragma once

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define TOMBOLA_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define TOMBOLA_ISA avx2
#elif defined(__AVX2__)
#define TOMBOLA_ISA avx2_without_fma
#elif defined(__AVX__) && defined(__FMA__)
#define TOMBOLA_ISA avx_fma
#elif defined(__AVX__)
#define TOMBOLA_ISA avx
#elif defined(__SSE4_2__)
#define TOMBOLA_ISA sse4_2
#elif defined(__SSE4_1__)
#define TOMBOLA_ISA sse4_1
#elif defined(__SSSE3__)
#define TOMBOLA_ISA ssse3
#elif defined(__SSE3__)
#define TOMBOLA_ISA sse3
#elif defined(__SSE2__)
#define TOMBOLA_ISA sse2
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define TOMBOLA_ISA neon64
#else
#define TOMBOLA_ISA generic
#endif

#define TOMBOLA_STRING_OF(x) #x
#define TOMBOLA_STRING(x) TOMBOLA_STRING_OF(x)

namespace tombola::inline TOMBOLA_ISA {

/// The name of the instruction set, for example "avx512".
inline constexpr const char* isa_name = TOMBOLA_STRING(TOMBOLA_ISA);

}  // namespace tombola::inline TOMBOLA_ISA
