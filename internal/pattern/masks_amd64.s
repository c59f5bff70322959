#include "textflag.h"

// The bytes looked for, 32 times each.
DATA quote<>+0(SB)/1, $0x22
GLOBL quote<>(SB), RODATA, $1
DATA backslash<>+0(SB)/1, $0x5c
GLOBL backslash<>(SB), RODATA, $1
DATA dot<>+0(SB)/1, $0x2e
GLOBL dot<>(SB), RODATA, $1
DATA opening<>+0(SB)/1, $0x7b
GLOBL opening<>(SB), RODATA, $1
DATA closing<>+0(SB)/1, $0x7d
GLOBL closing<>(SB), RODATA, $1
DATA lower<>+0(SB)/1, $0x20
GLOBL lower<>(SB), RODATA, $1

// BITS sets to to a bit for each byte of lo and hi that equals what.
#define BITS(lo, hi, what, to) \
	VPCMPEQB  lo, what, Y2; \
	VPCMPEQB  hi, what, Y3; \
	VPMOVMSKB Y2, to;       \
	VPMOVMSKB Y3, BX;       \
	SHLQ      $32, BX;      \
	ORQ       BX, to

// FINISH makes the masks of a block, at DI, of R10 (quotation marks), AX (backslashes), R11
// (odd), R12 (opening) and R13 (closing). Most blocks have no backslash: FINISH leaves out
// what finds the bytes behind one. R8 is 1 when the next byte is escaped, R9 all ones
// inside a string. First come
// the backslashes that are not escaped themselves and what follows them (DX), then the
// runs of them that begin at an odd place, which may go on into the next block.
#define FINISH \
	MOVQ  AX, BX;  \
	ORQ   R8, BX;  \
	JZ    plain;   \
	MOVQ  R8, BX;  \
	NOTQ  BX;      \
	ANDQ  BX, AX;  \
	LEAQ  (AX)(AX*1), DX; \
	ORQ   R8, DX;  \
	MOVQ  $0xaaaaaaaaaaaaaaaa, BX; \
	ANDQ  AX, BX;  \
	MOVQ  DX, R8;  \
	NOTQ  R8;      \
	ANDQ  R8, BX;  \
	XORL  R8, R8;  \
	ADDQ  AX, BX;  \
	ADCQ  $0, R8;  \
	SHLQ  $1, BX;  \
	MOVQ  $0x5555555555555555, AX; \
	XORQ  AX, BX;  \
	ANDQ  DX, BX;  \
	NOTQ  BX;      \
	ANDQ  BX, R10; \
plain: \
	VMOVQ      R10, X6;         \
	VPCLMULQDQ $0, X8, X6, X6;  \
	VMOVQ      X6, BX;          \
	XORQ       R9, BX;          \
	MOVQ       BX, R9;          \
	SARQ       $63, R9;         \
	NOTQ       BX;              \
	ANDQ       BX, R12;         \
	ANDQ       BX, R13;         \
	MOVQ       R10, 0(DI);      \
	MOVQ       R12, 8(DI);      \
	MOVQ       R13, 16(DI);     \
	MOVQ       R11, 24(DI)

// Both ask for the text a kilobyte further on, which is looked at when the walk has gone
// over this one: the texts of events are seldom in a near cache.

// func maskAVX2(p *byte, blocks int, out *masks, c *carry)
TEXT ·maskAVX2(SB), NOSPLIT, $0-32
	MOVQ p+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ out+16(FP), DI
	MOVQ c+24(FP), DX
	MOVQ 0(DX), R8  // 1 when the next byte is escaped
	MOVQ 8(DX), R9  // all ones inside a string

	VPBROADCASTB quote<>(SB), Y10
	VPBROADCASTB backslash<>(SB), Y11
	VPBROADCASTB dot<>(SB), Y12
	VPBROADCASTB opening<>(SB), Y13
	VPBROADCASTB closing<>(SB), Y14
	VPBROADCASTB lower<>(SB), Y9
	VPCMPEQB     X8, X8, X8         // all ones, for the prefix xor

next:
	TESTQ CX, CX
	JZ    done

	PREFETCHT0 1024(SI)
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	BITS(Y0, Y1, Y10, R10)  // quotes
	BITS(Y0, Y1, Y11, AX)   // backslashes
	BITS(Y0, Y1, Y12, R11)  // dots
	VPOR    Y0, Y9, Y0
	VPOR    Y1, Y9, Y1
	BITS(Y0, Y1, Y13, R12)  // open
	BITS(Y0, Y1, Y14, R13)  // closed
	ORQ     AX, R11         // odd

	FINISH

	ADDQ       $64, SI
	ADDQ       $32, DI
	DECQ       CX
	JMP        next

done:
	VZEROUPPER
	MOVQ c+24(FP), DX
	MOVQ R8, 0(DX)
	MOVQ R9, 8(DX)
	RET

// func maskAVX512(p *byte, blocks int, out *masks, c *carry)
TEXT ·maskAVX512(SB), NOSPLIT, $0-32
	MOVQ p+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ out+16(FP), DI
	MOVQ c+24(FP), DX
	MOVQ 0(DX), R8
	MOVQ 8(DX), R9

	VPBROADCASTB quote<>(SB), Z10
	VPBROADCASTB backslash<>(SB), Z11
	VPBROADCASTB dot<>(SB), Z12
	VPBROADCASTB opening<>(SB), Z13
	VPBROADCASTB closing<>(SB), Z14
	VPBROADCASTB lower<>(SB), Z9
	VPCMPEQB     X8, X8, X8

next:
	TESTQ CX, CX
	JZ    done

	PREFETCHT0 1024(SI)
	VMOVDQU64 (SI), Z0
	VPORQ     Z0, Z9, Z1
	VPCMPEQB  Z0, Z10, K1
	VPCMPEQB  Z0, Z11, K2
	VPCMPEQB  Z0, Z12, K3
	VPCMPEQB  Z1, Z13, K4
	VPCMPEQB  Z1, Z14, K5
	KMOVQ     K1, R10
	KMOVQ     K2, AX
	KMOVQ     K3, R11
	KMOVQ     K4, R12
	KMOVQ     K5, R13
	ORQ       AX, R11
	FINISH

	ADDQ $64, SI
	ADDQ $32, DI
	DECQ CX
	JMP  next

done:
	VZEROUPPER
	MOVQ c+24(FP), DX
	MOVQ R8, 0(DX)
	MOVQ R9, 8(DX)
	RET
