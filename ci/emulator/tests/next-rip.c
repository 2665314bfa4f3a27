// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The next RIP (APM 15.7.1), and what VMRUN does with it (15.20): where an
 * injected INTn, INT3 or INTO returns to.
 */
#include "lib.h"

/* A guest that executes one instruction; the labels are before and behind it */
#define GUEST(name, insn) \
	extern char name##_begin[], name##_end[]; \
	static void one_##name(u64 arg) \
	{ \
		asm volatile(".global " #name "_begin, " #name "_end\n" \
			     #name "_begin: " insn "\n" #name "_end:" \
			     : "+D"(arg) :: "rax", "rbx", "rcx", "rdx", "memory"); \
	}

GUEST(cpuid, "cpuid")
GUEST(prefixed, ".byte 0x66, 0x2e, 0x48; cpuid")
GUEST(read_tsc, "rdtsc")
GUEST(hlt, "hlt")
GUEST(pause_loop, "pause")
GUEST(rdmsr, "rdmsr")
GUEST(wrmsr, "wrmsr")
GUEST(in_byte, "inb $0x80, %%al")
GUEST(out_dx, "outl %%eax, %%dx")
GUEST(read_cr0, "mov %%cr0, %%rax")
GUEST(write_cr8, "mov %%rax, %%cr8")
GUEST(read_dr7, "mov %%dr7, %%rax")
GUEST(flush, "invlpg 0x12345678(%%rdi, %%rdi, 4)")
GUEST(int_n, "int $0x81")
GUEST(int_3_long, ".byte 0xcd, 3")
GUEST(int3, "int3")
GUEST(call, "vmmcall")
GUEST(fault, "ud2")

#define CASE(name, exit_code) \
	{ #name, one_##name, name##_begin, name##_end, exit_code }

static const struct {
	const char *name;
	void (*fn)(u64);
	char *begin, *end;
	u64 exit;
} cases[] = {
	CASE(cpuid, EXIT_CPUID), CASE(prefixed, EXIT_CPUID),
	CASE(read_tsc, EXIT_RDTSC), CASE(hlt, EXIT_HLT), CASE(pause_loop, EXIT_PAUSE),
	CASE(rdmsr, EXIT_MSR), CASE(wrmsr, EXIT_MSR),
	CASE(in_byte, EXIT_IOIO), CASE(out_dx, EXIT_IOIO),
	CASE(read_cr0, EXIT_READ_CR(0)), CASE(write_cr8, EXIT_WRITE_CR(8)),
	CASE(read_dr7, EXIT_READ_DR(7)), CASE(flush, EXIT_INVLPG),
	CASE(int_n, EXIT_SWINT), CASE(int_3_long, EXIT_SWINT),
	CASE(int3, EXIT_EXCP(3)), CASE(call, EXIT_VMMCALL),
};

static struct vcpu *intercept_all(void (*fn)(u64), u64 arg)
{
	static u8 all[3 * PAGE] __attribute__((aligned(PAGE)));
	struct vcpu *v = vcpu_init(0, fn, arg);

	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = 0xff;
	set32(v, V_INTERCEPT_CR, -1);
	set32(v, V_INTERCEPT_DR, -1);
	set32(v, V_INTERCEPT1, 0xdfffffffU & ~INTERCEPT_VINTR);
	set64(v, V_IOPM, (u64)all);
	set64(v, V_MSRPM, (u64)all);
	return v;
}

TEST(intercepted_instructions)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu *v = intercept_all(cases[i].fn, 0);

		set64(v, V_NEXT_RIP, 1);
		CHECK(cases[i].name, run(v), cases[i].exit);
		CHECK(cases[i].name, get64(v, V_RIP), cases[i].begin);
		CHECK(cases[i].name, get64(v, V_NEXT_RIP), cases[i].end);
	}
}

/* Exits for anything else clear it */
static void guest_write_version(u64 arg)
{
	(void)arg;
	apic_write(APIC_VERSION, 0);
}

static void check_cleared(const char *what, struct vcpu *v, u64 exit_code)
{
	set64(v, V_NEXT_RIP, 1);
	CHECK(what, run_if1(v), exit_code);
	CHECK(what, get64(v, V_NEXT_RIP), 0);
}

TEST(other_exits)
{
	check_cleared("exception", vcpu_init(0, one_fault, 0), EXIT_EXCP(6));
	check_cleared("AVIC", vcpu_init(0, guest_write_version, 0), EXIT_NOACCEL);
	npt_apic[0] = 0;
	check_cleared("nested page fault", vcpu_init(0, guest_write_version, 0), EXIT_NPF);
	apic_write(APIC_ICR, ICR_SELF | 0x55);
	check_cleared("interrupt", vcpu_init(0, vmmcall_only, 0), EXIT_INTR);
}

/* Events that an instruction raises return to the next RIP, and no others */
static void check_injected(const char *what, u64 event, bool to_next)
{
	struct vcpu *v = vcpu_init(0, one_fault, 0);

	set64(v, V_EVENT_INJ, EVENT_VALID | event);
	set64(v, V_NEXT_RIP, (u64)call_begin);
	CHECK(what, run(v), to_next ? EXIT_VMMCALL : EXIT_EXCP(6));
	CHECK(what, get64(v, V_RIP), to_next ? call_begin : fault_begin);
	CHECK(what, v->nr_irqs, 1);
	CHECK(what, v->irqs[0], event & 0xff);
}

TEST(injected_events)
{
	check_injected("INT 0x81", EVENT_SOFT | 0x81, true);
	check_injected("INT 3", EVENT_SOFT | 3, true);
	check_injected("INT3", EVENT_EXCEPTION | 3, true);
	check_injected("INTO", EVENT_EXCEPTION | 4, true);
	check_injected("interrupt", 0x81, false);
	check_injected("NMI", EVENT_NMI | 2, false);
	check_injected("#UD", EVENT_EXCEPTION | 5, false);
}

/* What was about to be delivered: INTn is no exception, INT3 is one */
static void check_delivery(const char *what, void (*fn)(u64), u64 info)
{
	struct vcpu *v = vcpu_init(0, fn, 0);

	set32(v, V_INTERCEPT_EXC, BIT(8) | BIT(14) | BIT(13));
	set32(v, V_IDTR + 4, 0);	/* no gate: #GP */
	run(v);
	CHECK(what, get64(v, V_EXIT_CODE), EXIT_EXCP(13));
	CHECK(what, get32(v, V_EXIT_INT_INFO), EVENT_VALID | info);
}

TEST(delivery_that_fails)
{
	check_delivery("INT 0x81", one_int_n, EVENT_SOFT | 0x81);
	check_delivery("INT 3", one_int_3_long, EVENT_SOFT | 3);
	check_delivery("INT3", one_int3, EVENT_EXCEPTION | 3);
}

/* Without the intercept, INT3 is delivered */
TEST(int3_that_is_not_intercepted)
{
	struct vcpu *v = vcpu_init(0, one_int3, 0);

	set32(v, V_INTERCEPT_EXC, 0);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("exceptions", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], 3);
}
