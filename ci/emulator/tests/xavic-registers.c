// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xAVIC: each register's access behaviour (APM 15.29.3.1), TPR, PPR, EOI, CR8
 * (15.29.3.1, 15.29.4.1) and what the page's address needs (15.29.2, 15.29.4.2)
 */
#include "lib.h"

/* The manual's table, written down a second time: by register offset */
enum access { ALLOWED, FAULT, TRAP, SPECIAL };

static enum access read_access(unsigned reg)
{
	if (reg == 0x090 || reg == 0x390)
		return FAULT;
	if (reg >= 0x400 && reg <= 0x420)
		return FAULT;
	if (reg >= 0x480 && reg <= 0x4f0)
		return FAULT;
	if (reg >= 0x500)
		return FAULT;
	return ALLOWED;
}

static enum access write_access(unsigned reg)
{
	static const u16 traps[] = {
		0x020, 0x0c0, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x320, 0x330, 0x340,
		0x350, 0x360, 0x370, 0x380, 0x3e0,
	};

	if (reg == APIC_TPR || reg == APIC_EOI || reg == APIC_ICR)
		return SPECIAL;
	if (reg == APIC_VERSION || reg == APIC_PPR ||
	    (reg >= APIC_ISR && reg < APIC_ESR))
		return FAULT;
	for (unsigned i = 0; i < ARRAY_SIZE(traps); i++)
		if (reg == traps[i])
			return TRAP;
	return read_access(reg);
}

static u64 got;

static void guest_read(u64 reg)
{
	got = apic_read(reg);
}

static void guest_write(u64 reg)
{
	apic_write(reg, 0xa5000000 | reg);
}

/* A page without interrupts in service: they would change PPR */
static void fill(struct vcpu *v)
{
	for (unsigned reg = 0; reg < PAGE; reg += 16)
		if (reg < APIC_ISR || reg >= APIC_ESR)
			apic_set(v, reg, 0x11110000 + reg);
	apic_set(v, APIC_TPR, 0);
	apic_set(v, APIC_PPR, 0);
}

TEST(read_table)
{
	for (unsigned reg = 0; reg < PAGE; reg += 16) {
		struct vcpu *v = vcpu_init(0, guest_read, reg);
		u32 val;

		fill(v);
		val = apic_get(v, reg);
		got = ~0ULL;
		run(v);
		if (read_access(reg) == ALLOWED) {
			CHECK_EXIT(v, EXIT_VMMCALL, 0, 0);
			CHECK("value", got, val);
		} else {
			CHECK_EXIT(v, EXIT_NOACCEL, reg, 0);
			CHECK("RIP of a fault", get64(v, V_RIP), ins_read);
		}
	}
}

TEST(write_table)
{
	for (unsigned reg = 0; reg < PAGE; reg += 16) {
		struct vcpu *v = vcpu_init(0, guest_write, reg);
		enum access access = write_access(reg);
		u32 old, val = 0xa5000000 | reg;

		if (access == SPECIAL)
			continue;
		fill(v);
		old = apic_get(v, reg);
		run(v);
		switch (access) {
		case FAULT:
			CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | reg, 0);
			CHECK("RIP of a fault", get64(v, V_RIP), ins_write);
			CHECK("value after a fault", apic_get(v, reg), old);
			break;
		case TRAP:
			CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | reg, 0);
			CHECK("RIP of a trap", get64(v, V_RIP), ins_write_done);
			CHECK("value after a trap", apic_get(v, reg), val);
			/* and it goes on behind the instruction, once */
			CHECK("resumed", run(v), EXIT_VMMCALL);
			break;
		default:
			CHECK_EXIT(v, EXIT_VMMCALL, 0, 0);
			CHECK("value", apic_get(v, reg), val);
		}
	}
}

TEST(nothing_leaks_into_the_leaf_page)
{
	struct vcpu *v = vcpu_init(0, guest_write, APIC_ICR2);

	CHECK("exit", run(v), EXIT_VMMCALL);
	for (unsigned i = 0; i < PAGE; i++)
		CHECK("leaf page", npt_scratch[i], 0);
}

static void guest_byte_tpr(u64 arg)
{
	*(volatile u8 *)(APIC_BASE + APIC_TPR) = arg;
	got = *(volatile u8 *)(APIC_BASE + APIC_TPR);
}

TEST(narrow_access)
{
	struct vcpu *v = vcpu_init(0, guest_byte_tpr, 0x73);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("value", got, 0x73);
	CHECK("V_TPR", get32(v, V_INT_CTL) & V_TPR_MASK, 7);
}

/* TPR, CR8, PPR */

static void guest_tpr(u64 val)
{
	apic_write(APIC_TPR, val);
	got = (u64)apic_read(APIC_PPR) << 32 | apic_read(APIC_TPR);
}

TEST(tpr_write_sets_v_tpr_and_ppr)
{
	struct vcpu *v = vcpu_init(0, guest_tpr, 0x5a);

	run(v);
	CHECK_EXIT(v, EXIT_VMMCALL, 0, 0);
	CHECK("PPR and TPR read", got, 0x5a0000005aULL);
	CHECK("TPR in the page", apic_get(v, APIC_TPR), 0x5a);
	CHECK("V_TPR", get32(v, V_INT_CTL) & V_TPR_MASK, 5);
}

static void guest_cr8(u64 val)
{
	u64 cr8;

	asm volatile("mov %0, %%cr8" :: "r"(val));
	asm volatile("mov %%cr8, %0" : "=r"(cr8));
	got = cr8 << 32 | apic_read(APIC_TPR);
}

TEST(cr8_write_sets_tpr)
{
	struct vcpu *v = vcpu_init(0, guest_cr8, 9);

	apic_set(v, APIC_TPR, 0x07);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("CR8 and TPR", got, 9ULL << 32 | 0x90);
	CHECK("V_TPR", get32(v, V_INT_CTL) & V_TPR_MASK, 9);
	CHECK("PPR", apic_get(v, APIC_PPR), 0x90);
}

/* CR8 is the guest's with AVIC, V_INTR_MASKING or not */
TEST(cr8_without_v_intr_masking)
{
	struct vcpu *v = vcpu_init(0, guest_cr8, 9);

	set32(v, V_INT_CTL, AVIC_ENABLE);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("CR8 and TPR", got, 9ULL << 32 | 0x90);
	CHECK("the host's TPR", apic_read(APIC_TPR), 0);
}

static void guest_nothing(u64 arg)
{
	(void)arg;
}

TEST(ppr_is_the_service_class)
{
	struct vcpu *v = vcpu_init(0, guest_read, APIC_PPR);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | 3);
	apic_set(v, APIC_TPR, 0x3c);
	vector_set(v, APIC_ISR, 0x47);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("PPR", got, 0x40);

	v = vcpu_init(0, guest_read, APIC_PPR);
	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | 5);
	apic_set(v, APIC_TPR, 0x5c);
	vector_set(v, APIC_ISR, 0x47);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("PPR", got, 0x5c);
}

/* EOI */

static void guest_eoi(u64 arg)
{
	apic_write(APIC_EOI, 0);
	got = apic_read(APIC_PPR);
	(void)arg;
}

TEST(eoi_clears_the_highest_isr)
{
	struct vcpu *v = vcpu_init(0, guest_eoi, 0);

	vector_set(v, APIC_ISR, 0x41);
	vector_set(v, APIC_ISR, 0x91);
	vector_set(v, APIC_TMR, 0x41);
	run(v);
	CHECK_EXIT(v, EXIT_VMMCALL, 0, 0);
	CHECK("higher one", vector_get(v, APIC_ISR, 0x91), 0);
	CHECK("lower one", vector_get(v, APIC_ISR, 0x41), 1);
	CHECK("PPR", got, 0x40);
}

TEST(eoi_of_level_triggered_traps)
{
	struct vcpu *v = vcpu_init(0, guest_eoi, 0);

	vector_set(v, APIC_ISR, 0x91);
	vector_set(v, APIC_TMR, 0x91);
	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | APIC_EOI, 0x91);
	CHECK("RIP", get64(v, V_RIP), ins_write_done);
	CHECK("left to the hypervisor", vector_get(v, APIC_ISR, 0x91), 1);
}

TEST(eoi_without_interrupt_in_service)
{
	struct vcpu *v = vcpu_init(0, guest_eoi, 0);

	vector_set(v, APIC_TMR, 0);
	run(v);
	CHECK_EXIT(v, EXIT_VMMCALL, 0, 0);
}

/* The page */

static void guest_read_at(u64 addr)
{
	got = read32(addr);
}

static void guest_write_at(u64 addr)
{
	write32(addr, 0x600d);
}

TEST(avic_off_uses_the_leaf_page)
{
	struct vcpu *v = vcpu_init(0, guest_write_at, APIC_BASE + 0x310);

	set32(v, V_INT_CTL, V_INTR_MASKING);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("leaf page", *(u32 *)(npt_scratch + 0x310), 0x600d);
	CHECK("backing page", apic_get(v, 0x310), 0);
}

TEST(apic_bar_moves_the_page)
{
	const u64 bar = 0xd0000000;
	struct vcpu *v = vcpu_init(0, guest_write_at, bar + 0x310);

	set64(v, V_APIC_BAR, bar);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("backing page", apic_get(v, 0x310), 0x600d);

	v = vcpu_init(0, guest_write_at, APIC_BASE + 0x310);
	set64(v, V_APIC_BAR, bar);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("backing page", apic_get(v, 0x310), 0);
	CHECK("old place", *(u32 *)(npt_scratch + 0x310), 0x600d);
}

TEST(npt_must_permit_the_access)
{
	struct vcpu *v = vcpu_init(0, guest_read_at, APIC_BASE + 0x310);

	npt_apic[0] = 0;
	CHECK("read, not present", run(v), EXIT_NPF);
	CHECK("address", get64(v, V_EXIT_INFO2), APIC_BASE + 0x310);

	v = vcpu_init(0, guest_write_at, APIC_BASE + 0x310);
	npt_apic[0] = (u64)npt_scratch | 0x65;
	CHECK("write, read-only", run(v), EXIT_NPF);
	CHECK("backing page", apic_get(v, 0x310), 0);

	v = vcpu_init(0, guest_read_at, APIC_BASE + 0x310);
	apic_set(v, 0x310, 0x1234);
	CHECK("read, read-only", run(v), EXIT_VMMCALL);
	CHECK("value", got, 0x1234);
}

static void guest_rmw(u64 arg)
{
	asm volatile("lock orl %0, (%1)"
		     :: "r"((u32)arg), "r"(APIC_BASE + APIC_ICR2) : "memory");
}

TEST(locked_access)
{
	struct vcpu *v = vcpu_init(0, guest_rmw, 0xf0);

	apic_set(v, APIC_ICR2, 0x0f);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("value", apic_get(v, APIC_ICR2), 0xff);
}

static void guest_cmpxchg(u64 old)
{
	u32 new = 0x77;

	asm volatile("lock cmpxchgl %2, (%1)"
		     : "+a"(old) : "r"(APIC_BASE + APIC_ICR2), "r"(new)
		     : "memory");
	got = old;
}

static void guest_xchg(u64 val)
{
	asm volatile("xchgl %k0, (%1)"
		     : "+r"(val) : "r"(APIC_BASE + APIC_LVTT) : "memory");
	got = val;
}

TEST(exchanges)
{
	struct vcpu *v = vcpu_init(0, guest_cmpxchg, 0x0f);

	apic_set(v, APIC_ICR2, 0x0f);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("value", apic_get(v, APIC_ICR2), 0x77);

	v = vcpu_init(0, guest_cmpxchg, 0x0e);
	apic_set(v, APIC_ICR2, 0x0f);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("value", apic_get(v, APIC_ICR2), 0x0f);
	CHECK("old value", got, 0x0f);

	v = vcpu_init(0, guest_xchg, 0x100f0);
	apic_set(v, APIC_LVTT, 0x10000);
	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | APIC_LVTT, 0);
	CHECK("value", apic_get(v, APIC_LVTT), 0x100f0);
	CHECK("resumed", run(v), EXIT_VMMCALL);
	CHECK("old value", got, 0x10000);
}

/* Each iteration of a string instruction is an access of its own */
extern char ins_rep[], ins_rep_done[];

static void guest_rep_stos(u64 count)
{
	u64 to = APIC_BASE + APIC_LVTT;

	asm volatile("ins_rep: rep stosl\n\tins_rep_done:"
		     : "+D"(to), "+c"(count) : "a"(0x100f1) : "memory");
}

TEST(rep_stos)
{
	struct vcpu *v = vcpu_init(0, guest_rep_stos, 9);

	for (unsigned i = 0; i < 3; i++) {
		const unsigned reg = APIC_LVTT + i * 16;

		run(v);
		CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | reg, 0);
		CHECK("value", apic_get(v, reg), 0x100f1);
		CHECK("RCX", v->regs.rcx, 8 - i * 4);
		CHECK("RIP", get64(v, V_RIP), i < 2 ? ins_rep : ins_rep_done);
	}
	CHECK("the end", run(v), EXIT_VMMCALL);
}

static u32 copy[8];

static void guest_rep_movs(u64 reg)
{
	u64 from = APIC_BASE + reg, to = (u64)copy, count = 8;

	asm volatile("rep movsl"
		     : "+S"(from), "+D"(to), "+c"(count) :: "memory");
}

TEST(rep_movs)
{
	struct vcpu *v = vcpu_init(0, guest_rep_movs, APIC_ICR);

	apic_set(v, APIC_ICR, 0x12345);
	apic_set(v, APIC_ICR2, 0x6000000);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("ICR", copy[0], 0x12345);
	CHECK("ICR high", copy[4], 0x6000000);

	/* a fault in its midst */
	v = vcpu_init(0, guest_rep_movs, APIC_TMICT);
	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, APIC_TMCCT, 0);
	CHECK("RCX", v->regs.rcx, 4);
}

/* Code in the page: fetches are reads */
TEST(execution)
{
	struct vcpu *v = vcpu_init(0, (void *)(APIC_BASE + APIC_ICR2), 0);

	apic_set(v, APIC_ICR2, 0xd9010f);	/* VMMCALL */
	run(v);
	CHECK_EXIT(v, EXIT_VMMCALL, 0, 0);
	CHECK("RIP", get64(v, V_RIP), APIC_BASE + APIC_ICR2);

	v = vcpu_init(0, (void *)(APIC_BASE + APIC_TMCCT), 0);
	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, APIC_TMCCT, 0);
	CHECK("RIP", get64(v, V_RIP), APIC_BASE + APIC_TMCCT);
}

/* A trap is not lost when something else wants to exit at the same time */
static void guest_trap_and_hlt(u64 arg)
{
	(void)arg;
	asm volatile("movl $0x100f0, (%0)\n\thlt"
		     :: "r"(APIC_BASE + APIC_LVTT) : "memory");
}

TEST(trap_before_the_next_instruction)
{
	struct vcpu *v = vcpu_init(0, guest_trap_and_hlt, 0);

	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | APIC_LVTT, 0);
	CHECK("then HLT", run(v), EXIT_HLT);
	(void)guest_nothing;
}

/* What AVIC writes is seen as code as well: mov $TPR, %eax; ret */
static void guest_write_tpr(u64 val)
{
	apic_write(APIC_TPR, val);
}

TEST(page_can_hold_code)
{
	struct vcpu *v = vcpu_init(0, guest_write_tpr, 0x50);
	u32 (*code)(void) = (void *)(v->apic + APIC_TPR - 1);

	v->apic[APIC_TPR - 1] = 0xb8;
	v->apic[APIC_TPR + 4] = 0xc3;
	CHECK("before", code(), 0);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("after", code(), 0x50);
}
