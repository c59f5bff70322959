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

	MOVQ  R8, BX
	NOTQ  BX
	ANDQ  BX, AX                  // backslashes that are not escaped themselves
	LEAQ  (AX)(AX*1), DX
	ORQ   R8, DX                  // what follows them
	MOVQ  $0xaaaaaaaaaaaaaaaa, BX
	ANDQ  AX, BX
	MOVQ  DX, R8
	NOTQ  R8
	ANDQ  R8, BX                  // runs that begin at an odd place
	XORL  R8, R8
	ADDQ  AX, BX
	ADCQ  $0, R8                  // a run goes on into the next block
	SHLQ  $1, BX
	MOVQ  $0x5555555555555555, AX
	XORQ  AX, BX
	ANDQ  DX, BX                  // escaped
	NOTQ  BX
	ANDQ  BX, R10

	VMOVQ      R10, X6
	VPCLMULQDQ $0, X8, X6, X6
	VMOVQ      X6, BX
	XORQ       R9, BX             // inside strings
	MOVQ       BX, R9
	SARQ       $63, R9
	NOTQ       BX
	ANDQ       BX, R12
	ANDQ       BX, R13
	MOVQ       R10, 0(DI)
	MOVQ       R12, 8(DI)
	MOVQ       R13, 16(DI)
	MOVQ       R11, 24(DI)
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
