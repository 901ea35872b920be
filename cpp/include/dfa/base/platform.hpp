#pragma once

// Compiler attributes that change speed only, never a result. Where a compiler does not know one, it is empty.

#if defined(__GNUC__) || defined(__clang__)
#define DFA_PREFETCH(address) __builtin_prefetch(address)
#else
#define DFA_PREFETCH(address) static_cast<void>(address)
#endif

// Part of every x86-64 processor.
#ifdef __SSE2__
#define DFA_HAS_SSE2 1
#endif

// Processors whose extensions are asked for at run time.
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DFA_HAS_X86_VARIANTS 1
#endif
