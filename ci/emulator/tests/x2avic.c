// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x2AVIC (APM 15.29.10): the MSRs, their checks (APM 16.11), the ICR and its
 * destinations
 */
#include "lib.h"

#define VECTOR 0xa5
#define MSR(reg) (0x800 + ((reg) >> 4))
#define MSR_SELF_IPI 0x83f
#define GP EXIT_EXCP(13)

static u64 got, value;

static void guest_rdmsr(u64 msr)
{
	got = read_msr(msr);
}

static void guest_wrmsr(u64 msr)
{
	write_msr(msr, value);
}

static struct vcpu *x2_init(void (*fn)(u64), u64 arg)
{
	struct vcpu *v = vcpu_init(0, fn, arg);

	set_x2avic(v);
	return v;
}

/* The manual's table of x2APIC MSRs: what a read does */
static u64 read_result(u32 msr)
{
	switch (msr) {
	case 0x802: case 0x803: case 0x808: case 0x80a: case 0x80d: case 0x80f:
	case 0x810 ... 0x828: case 0x830: case 0x832 ... 0x838: case 0x83e:
		return EXIT_VMMCALL;
	case 0x809: case 0x839: case 0x840 ... 0x842: case 0x848 ... 0x853:
		return EXIT_NOACCEL;
	default:
		return GP;
	}
}

/* ... and a write of zero */
static u64 write_result(u32 msr)
{
	switch (msr) {
	case 0x808: case 0x80b:
		return EXIT_VMMCALL;
	case 0x80f: case 0x828: case 0x832 ... 0x838: case 0x83e:
	case 0x841: case 0x842: case 0x848 ... 0x853:
		return EXIT_NOACCEL;
	case 0x830: case MSR_SELF_IPI:
		return EXIT_INCOMPLETE_IPI;	/* vector 0 */
	default:
		return GP;
	}
}

TEST(read_table)
{
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		struct vcpu *v = x2_init(guest_rdmsr, msr);
		unsigned reg = (msr - 0x800) << 4;

		for (unsigned r = 0; r < PAGE; r += 16)
			if (r < APIC_ISR || r >= APIC_ESR)
				apic_set(v, r, 0x11110000 + r);
		apic_set(v, APIC_PPR, 0);
		apic_set(v, APIC_TPR, 0);
		got = ~0ULL;
		run(v);
		CHECK("exit", get64(v, V_EXIT_CODE), read_result(msr));
		switch (read_result(msr)) {
		case EXIT_VMMCALL:
			CHECK("value", got, msr == 0x830 ? 0x1111031011110300 :
			      apic_get(v, reg));
			break;
		case EXIT_NOACCEL:
			CHECK_EXIT(v, EXIT_NOACCEL, reg, 0);
			/* fallthrough */
		default:
			CHECK("RIP", get64(v, V_RIP), ins_rdmsr);
		}
	}
}

TEST(write_table)
{
	value = 0;
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		struct vcpu *v = x2_init(guest_wrmsr, msr);
		unsigned reg = (msr - 0x800) << 4;
		bool fault = msr >= 0x840;

		run(v);
		CHECK("exit", get64(v, V_EXIT_CODE), write_result(msr));
		if (write_result(msr) == EXIT_NOACCEL) {
			CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | reg, 0);
			CHECK("RIP", get64(v, V_RIP),
			      fault ? ins_wrmsr : ins_wrmsr_done);
		}
	}
}

/* Every bit that must be zero */
TEST(reserved_bits)
{
	static const struct {
		u32 msr;
		u64 writable;
	} regs[] = {
		{ 0x808, 0xff }, { 0x80b, 0 }, { 0x80f, 0x3ff }, { 0x828, 0 },
		{ 0x838, 0xffffffff }, { 0x83e, 0xb }, { 0x83f, 0xff },
		{ 0x830, 0xffffffff000ccfff },
		/* the timer's TSC deadline mode, bit 18, is not virtualized */
		{ 0x832, 0x317ff }, { 0x833, 0x117ff }, { 0x834, 0x117ff },
		{ 0x835, 0x1f7ff }, { 0x836, 0x1f7ff }, { 0x837, 0x117ff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			struct vcpu *v = x2_init(guest_wrmsr, regs[i].msr);

			value = BIT(bit);
			run(v);
			CHECK("#GP", get64(v, V_EXIT_CODE) == GP,
			      !(regs[i].writable & BIT(bit)));
			if (get64(v, V_EXIT_CODE) == GP)
				CHECK("RIP", get64(v, V_RIP), ins_wrmsr);
		}
	}
}

static void guest_disassembled_trap(u64 msr)
{
	write_msr(msr, value);
}

TEST(trap_has_written_the_page)
{
	struct vcpu *v = x2_init(guest_disassembled_trap, MSR(APIC_LVTT));

	value = 0x100ef;
	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | APIC_LVTT, 0);
	CHECK("value", apic_get(v, APIC_LVTT), 0x100ef);
	CHECK("resumed", run(v), EXIT_VMMCALL);
}

/* The MSR permission map comes first, for every MSR and both directions */
TEST(intercepts_come_first)
{
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		u8 *map = &msrpm[msr / 4];
		struct vcpu *v;

		*map = 1 << msr % 4 * 2;
		v = x2_init(guest_rdmsr, msr);
		run(v);
		CHECK_EXIT(v, EXIT_MSR, 0, 0);
		*map = 2 << msr % 4 * 2;
		v = x2_init(guest_wrmsr, msr);
		value = ~0ULL;
		run(v);
		CHECK_EXIT(v, EXIT_MSR, 1, 0);
		*map = 0;
	}
}

/* TPR, EOI: as in xAVIC */

static void guest_tpr(u64 val)
{
	u64 cr8;

	write_msr(MSR(APIC_TPR), val);
	asm volatile("mov %%cr8, %0" : "=r"(cr8));
	got = cr8 << 32 | read_msr(MSR(APIC_PPR));
}

TEST(tpr)
{
	struct vcpu *v = x2_init(guest_tpr, 0x73);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("CR8, PPR", got, 7ULL << 32 | 0x73);
	CHECK("V_TPR", get32(v, V_INT_CTL) & V_TPR_MASK, 7);
}

static void guest_eoi(u64 arg)
{
	(void)arg;
	write_msr(MSR(APIC_EOI), 0);
}

TEST(eoi)
{
	struct vcpu *v = x2_init(guest_eoi, 0);

	vector_set(v, APIC_ISR, 0x81);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("ISR", vector_get(v, APIC_ISR, 0x81), 0);

	v = x2_init(guest_eoi, 0);
	vector_set(v, APIC_ISR, 0x81);
	vector_set(v, APIC_TMR, 0x81);
	run(v);
	CHECK_EXIT(v, EXIT_NOACCEL, NOACCEL_WRITE | APIC_EOI, 0x81);
	CHECK("RIP", get64(v, V_RIP), ins_wrmsr_done);
	CHECK("ISR", vector_get(v, APIC_ISR, 0x81), 1);
}

/* IPIs */

static void all_running(void)
{
	for (unsigned i = 0; i < NR_VCPUS; i++)
		physical_table[i] |= BIT(62) | 3;
}

static u64 received(void)
{
	u64 map = 0;

	for (unsigned i = 0; i < NR_VCPUS; i++)
		if (vector_get(&vcpus[i], APIC_IRR, VECTOR))
			map |= BIT(i);
	return map;
}

static struct vcpu *send(u64 icr)
{
	struct vcpu *v = x2_init(guest_wrmsr, MSR(APIC_ICR));

	for (unsigned i = 1; i < NR_VCPUS; i++)
		vcpu_init(i, vmmcall_only, 0);
	value = icr;
	run(v);
	return v;
}

#define DEST(n) ((u64)(n) << 32)

#define CHECK_SENT(icr, map) do { \
	struct vcpu *v__ = send(icr); \
	CHECK_EXIT(v__, EXIT_VMMCALL, 0, 0); \
	CHECK("targets", received(), map); \
	CHECK("ICR low", apic_get(v__, APIC_ICR), (u32)(icr)); \
	CHECK("ICR high", apic_get(v__, APIC_ICR2), (u64)(icr) >> 32); \
} while (0)

#define CHECK_FAILED(icr, reason, index, map) do { \
	struct vcpu *v__ = send(icr); \
	CHECK_EXIT(v__, EXIT_INCOMPLETE_IPI, icr, \
		   (u64)(reason) << 32 | (index)); \
	CHECK("RIP", get64(v__, V_RIP), ins_wrmsr_done); \
	CHECK("targets", received(), map); \
} while (0)

TEST(physical_destination)
{
	all_running();
	for (unsigned i = 0; i < NR_VCPUS; i++)
		CHECK_SENT(DEST(i) | VECTOR, BIT(i));
}

TEST(physical_destination_fails)
{
	all_running();
	physical_table[4] &= ~BIT(62);
	physical_table[5] &= ~BIT(63);
	physical_table[6] = BIT(63) | BIT(62) | BIT(50);
	CHECK_FAILED(DEST(4) | VECTOR, IPI_NOT_RUNNING, 4, BIT(4));
	CHECK_FAILED(DEST(5) | VECTOR, IPI_TARGET, 5, 0);
	CHECK_FAILED(DEST(6) | VECTOR, IPI_PAGE, 6, 0);
	CHECK_FAILED(DEST(8) | VECTOR, IPI_TARGET, 8, 0);
	/* no broadcast in x2APIC mode */
	CHECK_FAILED(DEST(0xff) | VECTOR, IPI_TARGET, 0xff, 0);
	/* all 32 bits count; the index has 12 */
	CHECK_FAILED(DEST(0x1000002) | VECTOR, IPI_TARGET, 2, 0);
}

TEST(broadcast)
{
	all_running();
	CHECK_SENT(DEST(0xffffffff) | VECTOR, 0xff);
	CHECK_SENT(DEST(0xffffffff) | ICR_LOGICAL | VECTOR, 0xff);
	CHECK_SENT(ICR_ALL | VECTOR, 0xff);
	CHECK_SENT(ICR_OTHERS | VECTOR, 0xfe);
	CHECK_SENT(ICR_SELF | VECTOR, 1);
	physical_table[3] = 0;
	physical_table[5] &= ~BIT(62);
	CHECK_FAILED(ICR_ALL | VECTOR, IPI_NOT_RUNNING, 5, 0xff & ~BIT(3));
}

/* Cluster in bits 31:16, members in 15:0; the logical table is not used */
TEST(logical_destination)
{
	all_running();
	for (unsigned i = 0; i < NR_VCPUS; i++)
		logical_table[i] = 0;
	CHECK_SENT(DEST(BIT(2)) | ICR_LOGICAL | VECTOR, BIT(2));
	CHECK_SENT(DEST(0xa5) | ICR_LOGICAL | VECTOR, 0xa5);
	CHECK_SENT(DEST(0) | ICR_LOGICAL | VECTOR, 0);
	CHECK_FAILED(DEST(0x101) | ICR_LOGICAL | VECTOR, IPI_TARGET, 8, 0);
	CHECK_FAILED(DEST(0x10001) | ICR_LOGICAL | VECTOR, IPI_TARGET, 16, 0);
	physical_table[5] &= ~BIT(62);
	CHECK_FAILED(DEST(0xa5) | ICR_LOGICAL | VECTOR, IPI_NOT_RUNNING, 5,
		     0xa5);
}

/* Entries above 255 exist in x2AVIC mode, and 255 is one like the others */
TEST(large_ids)
{
	static const unsigned ids[] = { 254, 255, 256, 511 };

	all_running();
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		struct vcpu *v = x2_init(guest_wrmsr, MSR(APIC_ICR));

		physical_table[ids[i]] = physical_table[7];
		vcpu_init(7, vmmcall_only, 0);
		set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 511);
		value = DEST(ids[i]) | VECTOR;
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("target", vector_get(&vcpus[7], APIC_IRR, VECTOR), 1);

		v = x2_init(guest_wrmsr, MSR(APIC_ICR));
		vcpu_init(7, vmmcall_only, 0);
		set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 511);
		value = DEST((ids[i] >> 4) << 16 | BIT(ids[i] & 15)) |
			ICR_LOGICAL | VECTOR;
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("logical", vector_get(&vcpus[7], APIC_IRR, VECTOR), 1);
	}
}

TEST(types_and_vectors)
{
	all_running();
	for (unsigned mode = 1; mode < 8; mode++)
		CHECK_FAILED(DEST(2) | ICR_MODE(mode) | VECTOR, IPI_TYPE, 0, 0);
	CHECK_FAILED(DEST(2) | ICR_LEVEL | VECTOR, IPI_TYPE, 0, 0);
	CHECK_FAILED(DEST(2) | 15, IPI_VECTOR, 0, 0);
}

static void guest_self_ipi(u64 vector)
{
	sti();
	write_msr(MSR_SELF_IPI, vector);
}

TEST(self_ipi)
{
	struct vcpu *v = x2_init(guest_self_ipi, 0x77);

	v->eoi = true;
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], 0x77);
	CHECK("ISR", vector_get(v, APIC_ISR, 0x77), 0);
	CHECK("ICR is not touched", apic_get(v, APIC_ICR), 0);

	v = x2_init(guest_self_ipi, 3);
	run(v);
	CHECK_EXIT(v, EXIT_INCOMPLETE_IPI, ICR_SELF | 3, (u64)IPI_VECTOR << 32);
}

/* The APIC page is memory like any other */
static void guest_mmio(u64 arg)
{
	apic_write(APIC_ICR, ICR_SELF | VECTOR);
	got = apic_read(APIC_ICR);
	(void)arg;
}

TEST(no_mmio)
{
	struct vcpu *v = x2_init(guest_mmio, 0);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("value", got, ICR_SELF | VECTOR);
	CHECK("backing page", apic_get(v, APIC_ICR), 0);
	CHECK("leaf page", *(u32 *)(npt_scratch + APIC_ICR), ICR_SELF | VECTOR);
}
