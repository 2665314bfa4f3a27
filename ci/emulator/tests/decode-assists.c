// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Decode assists (APM 15.33): the register of a MOV CR or MOV DR, the vector of
 * an INTn, the address of an INVLPG, and the bytes of what caused a page fault
 */
#include "lib.h"

#define GUEST(name, insn) \
	extern char name##_begin[]; \
	static void one_##name(u64 arg) \
	{ \
		asm volatile(".global " #name "_begin\n" #name "_begin: " insn \
			     : "+D"(arg) :: "rax", "rbx", "memory"); \
	}

GUEST(read_cr0_rax, "mov %%cr0, %%rax")
GUEST(write_cr0_rbx, "mov %%rbx, %%cr0")
GUEST(read_cr3_r15, "mov %%cr3, %%r15")
GUEST(write_cr4_rdi, "mov %%rdi, %%cr4")
GUEST(read_cr8_r8, "mov %%cr8, %%r8")
GUEST(read_dr7_rbp, "mov %%dr7, %%rbp")
GUEST(write_dr0_r11, "mov %%r11, %%dr0")
GUEST(smsw, "smsw %%eax")
GUEST(lmsw, "lmsw %%di")
GUEST(clts, "clts")
GUEST(int_n, "int $0x81")
GUEST(int3, "int3")
GUEST(invlpg, "invlpg 0x123(%%rdi)")
GUEST(invlpga, "mov $1, %%ecx; mov %%rdi, %%rax; invlpga")
GUEST(write_cr0_rsi, "mov %%cr0, %%rsi; xor $8, %%rsi; mov %%rsi, %%cr0; mov %%cr0, %%rsi;"
      "xor $0x20, %%rsi; .global sel_write; sel_write: mov %%rsi, %%cr0")
GUEST(lmsw_pe, "smsw %%eax; or $4, %%eax; lmsw %%ax")
GUEST(load, "mov 0x20(%%rdi), %%eax; .byte 0x0f, 0x0b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10")

#define MOV_CR BIT(63)
#define CASE(name, code, info) { #name, one_##name, code, info }

static const struct {
	const char *name;
	void (*fn)(u64);
	u64 exit, info;
} cases[] = {
	CASE(read_cr0_rax, EXIT_READ_CR(0), MOV_CR | 0),
	CASE(write_cr0_rbx, EXIT_WRITE_CR(0), MOV_CR | 3),
	CASE(read_cr3_r15, EXIT_READ_CR(3), MOV_CR | 15),
	CASE(write_cr4_rdi, EXIT_WRITE_CR(4), MOV_CR | 7),
	CASE(read_cr8_r8, EXIT_READ_CR(8), MOV_CR | 8),
	CASE(read_dr7_rbp, EXIT_READ_DR(7), 5),
	CASE(write_dr0_r11, EXIT_WRITE_DR(0), 11),
	CASE(smsw, EXIT_READ_CR(0), 0),
	CASE(lmsw, EXIT_WRITE_CR(0), 0),
	CASE(clts, EXIT_WRITE_CR(0), 0),
	CASE(int_n, EXIT_SWINT, 0x81),
	CASE(int3, EXIT_EXCP(3), 0),
	CASE(invlpg, EXIT_INVLPG, 0xabcd123),
};

TEST(operands)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu *v = vcpu_init(0, cases[i].fn, 0xabcd000);

		set32(v, V_INTERCEPT_CR, -1);
		set32(v, V_INTERCEPT_DR, -1);
		set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | BIT(21) | BIT(25));
		CHECK(cases[i].name, run(v), cases[i].exit);
		CHECK(cases[i].name, get64(v, V_EXIT_INFO1), cases[i].info);
	}
}

/* INVLPGA is no INVLPG */
TEST(invlpga_has_its_own_intercept)
{
	struct vcpu *v = vcpu_init(0, one_invlpga, 0xabcd000);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | BIT(25));
	CHECK("intercept of INVLPG", run(v), EXIT_VMMCALL);
	v = vcpu_init(0, one_invlpga, 0xabcd000);
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | BIT(26));
	run(v);
	CHECK_EXIT(v, EXIT_INVLPGA, 0, 0);
}

/* The intercept of CR0's other bits than TS and MP */
TEST(selective_cr0_write)
{
	extern char sel_write[];
	struct vcpu *v = vcpu_init(0, one_write_cr0_rsi, 0);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | BIT(5));
	run(v);
	CHECK_EXIT(v, EXIT_CR0_SEL_WRITE, MOV_CR | 6, 0);
	CHECK("RIP", get64(v, V_RIP), sel_write);
	v = vcpu_init(0, one_lmsw_pe, 0);
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | BIT(5));
	run(v);
	CHECK_EXIT(v, EXIT_CR0_SEL_WRITE, 0, 0);
}

static void check_bytes(struct vcpu *v, const u8 *insn, unsigned len)
{
	const u8 *bytes = v->vmcb + V_INSN_BYTES;

	CHECK("number", v->vmcb[V_INSN_LEN], len);
	for (unsigned i = 0; i < len; i++)
		CHECK("byte", bytes[i], insn[i]);
	for (unsigned i = len; i < 15; i++)
		CHECK("no byte", bytes[i], 0);
}

TEST(bytes_of_a_nested_page_fault)
{
	struct vcpu *v = vcpu_init(0, one_load, APIC_BASE);

	npt_apic[0] = 0;
	CHECK("exit", run(v), EXIT_NPF);
	check_bytes(v, (u8 *)load_begin, 15);
}

/* CS has no base in 64-bit mode */
TEST(bytes_with_a_base_of_cs)
{
	struct vcpu *v = vcpu_init(0, one_load, APIC_BASE);

	npt_apic[0] = 0;
	set64(v, V_CS + 8, 0x1000);
	CHECK("exit", run(v), EXIT_NPF);
	check_bytes(v, (u8 *)load_begin, 15);
}

/* A guest of its own page tables, without the page that it reads */
static u64 tables[3][512] __attribute__((aligned(PAGE)));

static struct vcpu *with_pages(void (*fn)(u64), u64 arg)
{
	struct vcpu *v = vcpu_init(0, fn, arg);

	for (unsigned i = 0; i < 512; i++)
		tables[1][i] = tables[2][i] = 0;
	tables[0][0] = (u64)tables[1] | 7;
	tables[1][0] = (u64)tables[2] | 7;
	for (u64 i = 0; i < 512; i++)
		tables[2][i] = i << 21 | 0xe7;
	set64(v, V_CR3, (u64)tables[0]);
	return v;
}

TEST(bytes_of_a_page_fault)
{
	struct vcpu *v = with_pages(one_load, APIC_BASE);

	run(v);
	CHECK_EXIT(v, EXIT_EXCP(14), 0, APIC_BASE + 0x20);
	check_bytes(v, (u8 *)load_begin, 15);
}

TEST(no_bytes_of_a_fetch)
{
	struct vcpu *v = with_pages((void (*)(u64))APIC_BASE, 0);

	v->vmcb[V_INSN_LEN] = 3;
	CHECK("exit", run(v), EXIT_EXCP(14));
	check_bytes(v, NULL, 0);
}

/* What cannot be fetched is not there: the next page is not mapped */
TEST(bytes_up_to_the_end_of_a_page)
{
	static u8 page[2 << 20] __attribute__((aligned(2 << 20)));
	u8 *insn = page + sizeof(page) - 5;
	struct vcpu *v = with_pages((void (*)(u64))insn, APIC_BASE);

	for (unsigned i = 0; i < 3; i++)
		insn[i] = load_begin[i];	/* mov 0x20(%rdi), %eax */
	insn[3] = insn[4] = 0x90;
	tables[2][((u64)insn >> 21) + 1] = 0;
	run(v);
	CHECK_EXIT(v, EXIT_EXCP(14), 0, APIC_BASE + 0x20);
	check_bytes(v, insn, 5);
}

TEST(no_bytes_of_other_exits)
{
	struct vcpu *v = vcpu_init(0, vmmcall_only, 0);

	v->vmcb[V_INSN_LEN] = 3;
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("number", v->vmcb[V_INSN_LEN], 0);
}
