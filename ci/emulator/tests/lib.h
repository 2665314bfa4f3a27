/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small SVM hypervisor for tests of AVIC: see lib.c. */
#ifndef LIB_H
#define LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define PAGE 4096
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1ULL << (n))

/* Tests and results */

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(id) \
	static void test_##id(void); \
	static const struct test entry_##id \
		__attribute__((used, section(".tests"))) = { #id, test_##id }; \
	static void test_##id(void)

void check_eq(const char *file, int line, const char *what, u64 got, u64 want);
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Print and go on: one test can show several faults. */
#define CHECK(what, got, want) \
	check_eq(__FILE__, __LINE__, what, (u64)(got), (u64)(want))

/* Called before every test; a suite may have one. */
void suite_setup(void) __attribute__((weak));

/* VMCB offsets */
enum {
	V_INTERCEPT_CR = 0x000, V_INTERCEPT_DR = 0x004, V_INTERCEPT_EXC = 0x008,
	V_INTERCEPT1 = 0x00c, V_INTERCEPT2 = 0x010, V_INTERCEPT3 = 0x014,
	V_IOPM = 0x040, V_MSRPM = 0x048, V_ASID = 0x058, V_INT_CTL = 0x060,
	V_INT_VECTOR = 0x064, V_INT_STATE = 0x068, V_EXIT_CODE = 0x070,
	V_EXIT_INFO1 = 0x078, V_EXIT_INFO2 = 0x080, V_EXIT_INT_INFO = 0x088,
	V_NESTED_CTL = 0x090, V_APIC_BAR = 0x098, V_EVENT_INJ = 0x0a8,
	V_NESTED_CR3 = 0x0b0, V_CLEAN = 0x0c0, V_NEXT_RIP = 0x0c8,
	V_INSN_LEN = 0x0d0, V_INSN_BYTES = 0x0d1, V_BACKING_PAGE = 0x0e0, V_LOGICAL_TABLE = 0x0f0,
	V_PHYSICAL_TABLE = 0x0f8, V_ES = 0x400, V_CS = 0x410, V_SS = 0x420,
	V_DS = 0x430, V_GDTR = 0x460, V_IDTR = 0x480, V_EFER = 0x4d0,
	V_CR4 = 0x548, V_CR3 = 0x550, V_CR0 = 0x558, V_DR7 = 0x560,
	V_CR2 = 0x640, V_PAT = 0x668, V_LBR = 0x670, V_DR6 = 0x568, V_RFLAGS = 0x570, V_RIP = 0x578, V_RSP = 0x5d8,
	V_RAX = 0x5f8,
};

#define INTERCEPT_INTR BIT(0)
#define INTERCEPT_NMI BIT(1)
#define INTERCEPT_SMI BIT(2)
#define INTERCEPT_INIT BIT(3)
#define INTERCEPT_VINTR BIT(4)
#define INTERCEPT_HLT BIT(24)
#define INTERCEPT_MSR BIT(28)
#define INTERCEPT_IDLE_HLT BIT(6)	/* of the third word */
#define INTERCEPT_SHUTDOWN BIT(31)

#define V_TPR_MASK 0xfU
#define V_IRQ BIT(8)
#define V_GIF BIT(9)
#define V_NMI BIT(11)
#define V_NMI_MASK BIT(12)
#define V_INTR_MASKING BIT(24)
#define V_GIF_ENABLE BIT(25)
#define V_NMI_ENABLE BIT(26)
#define X2AVIC_ENABLE BIT(30)
#define AVIC_ENABLE BIT(31)

#define EXIT_READ_CR(n) (0x00 + (n))
#define EXIT_WRITE_CR(n) (0x10 + (n))
#define EXIT_READ_DR(n) (0x20 + (n))
#define EXIT_WRITE_DR(n) (0x30 + (n))
#define EXIT_EXCP(n) (0x40 + (n))
#define EXIT_INTR 0x60
#define EXIT_NMI 0x61
#define EXIT_SMI 0x62
#define EXIT_INIT 0x63
#define EXIT_CR0_SEL_WRITE 0x65
#define EXIT_RDTSC 0x6e
#define EXIT_CPUID 0x72
#define EXIT_SWINT 0x75
#define EXIT_PAUSE 0x77
#define EXIT_HLT 0x78
#define EXIT_INVLPG 0x79
#define EXIT_INVLPGA 0x7a
#define EXIT_IOIO 0x7b
#define EXIT_MSR 0x7c
#define EXIT_SHUTDOWN 0x7f
#define EXIT_VMRUN 0x80
#define EXIT_VMMCALL 0x81
#define EXIT_IDLE_HLT 0xa6
#define EXIT_NPF 0x400
#define EXIT_INCOMPLETE_IPI 0x401
#define EXIT_NOACCEL 0x402
#define EXIT_INVALID ((u64)-1)

#define NOACCEL_WRITE BIT(32)

/* EVENTINJ and EXITINTINFO */
#define EVENT_VALID BIT(31)
#define EVENT_NMI (2 << 8)
#define EVENT_EXCEPTION (3 << 8)
#define EVENT_SOFT (4 << 8)

enum { IPI_TYPE, IPI_NOT_RUNNING, IPI_TARGET, IPI_PAGE, IPI_VECTOR };

#define MSR_DOORBELL 0xc001011b
#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)

/* The local APIC, virtual or real */
#define APIC_BASE 0xfee00000UL
enum {
	APIC_ID = 0x020, APIC_VERSION = 0x030, APIC_TPR = 0x080,
	APIC_PPR = 0x0a0, APIC_EOI = 0x0b0, APIC_LDR = 0x0d0, APIC_DFR = 0x0e0,
	APIC_SVR = 0x0f0, APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_IRR = 0x200,
	APIC_ESR = 0x280, APIC_ICR = 0x300, APIC_ICR2 = 0x310,
	APIC_LVTT = 0x320, APIC_TMICT = 0x380, APIC_TMCCT = 0x390,
};

#define ICR_LOGICAL BIT(11)
#define ICR_BUSY BIT(12)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SELF BIT(18)
#define ICR_ALL BIT(19)
#define ICR_OTHERS (BIT(18) | BIT(19))
#define ICR_MODE(n) ((u64)(n) << 8)

struct regs {
	u64 rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};

#define NR_VCPUS 8

struct vcpu {
	unsigned id;
	struct regs regs;
	u8 *vmcb;
	u8 *apic;		/* vAPIC backing page */
	volatile u32 nr_irqs;
	volatile u8 irqs[64];	/* vectors in the order of delivery */
	volatile bool eoi;	/* the handler does an EOI */
};

extern struct vcpu vcpus[NR_VCPUS];
extern u64 physical_table[512];
extern u32 logical_table[1024];
extern u8 msrpm[2 * PAGE];
extern u64 npt_apic[512];	/* the 4 KiB entries of APIC_BASE's 2 MiB */
extern u8 npt_scratch[PAGE];	/* what they point to for the APIC page */

/* Fresh state: a guest that will call fn(arg), with AVIC, IDs 0 to 7 valid. */
struct vcpu *vcpu_init(unsigned id, void (*fn)(u64 arg), u64 arg);
void set_x2avic(struct vcpu *v);
u64 run(struct vcpu *v);	/* until the next #VMEXIT; returns its code */
u64 run_if1(struct vcpu *v);	/* with the host's RFLAGS.IF set */

static inline u64 get64(struct vcpu *v, unsigned off)
{
	return *(volatile u64 *)(v->vmcb + off);
}

static inline void set64(struct vcpu *v, unsigned off, u64 val)
{
	*(volatile u64 *)(v->vmcb + off) = val;
}

static inline u32 get32(struct vcpu *v, unsigned off)
{
	return *(volatile u32 *)(v->vmcb + off);
}

static inline void set32(struct vcpu *v, unsigned off, u32 val)
{
	*(volatile u32 *)(v->vmcb + off) = val;
}

static inline u32 apic_get(struct vcpu *v, unsigned reg)
{
	return *(volatile u32 *)(v->apic + reg);
}

static inline void apic_set(struct vcpu *v, unsigned reg, u32 val)
{
	*(volatile u32 *)(v->apic + reg) = val;
}

bool vector_get(struct vcpu *v, unsigned reg, u8 vector);
void vector_set(struct vcpu *v, unsigned reg, u8 vector);

/* Exit checks: code, EXITINFO1, EXITINFO2 */
void check_exit(const char *file, int line, struct vcpu *v, u64 code, u64 info1,
		u64 info2);
#define CHECK_EXIT(v, code, info1, info2) \
	check_exit(__FILE__, __LINE__, v, code, info1, info2)

/* boot.S; the labels are those of the instruction itself */
u32 read32(u64 addr);
void write32(u64 addr, u32 val);
u64 read_msr(u32 msr);
void write_msr(u32 msr, u64 val);
extern char ins_read[], ins_read_done[], ins_write[], ins_write_done[];
extern char ins_rdmsr[], ins_rdmsr_done[], ins_wrmsr[], ins_wrmsr_done[];

static inline u32 apic_read(unsigned reg)
{
	return read32(APIC_BASE + reg);
}

static inline void apic_write(unsigned reg, u32 val)
{
	write32(APIC_BASE + reg, val);
}

static inline void vmmcall(void)
{
	asm volatile("vmmcall" ::: "memory");
}

/* Guests that several suites want */
void vmmcall_only(u64 arg);
void hlt_if1(u64 arg);		/* STI; HLT */

/* Past a VMMCALL that has exited */
static inline void skip_vmmcall(struct vcpu *v)
{
	set64(v, V_RIP, get64(v, V_RIP) + 3);
}

static inline void cli(void) { asm volatile("cli" ::: "memory"); }
static inline void sti(void) { asm volatile("sti" ::: "memory"); }
static inline void pause(void) { asm volatile("pause" ::: "memory"); }

static inline void cpuid(u32 leaf, u32 r[4])
{
	asm volatile("cpuid"
		     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
		     : "a"(leaf), "c"(0));
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* Spin until cond or some seconds, for a busy machine; the value is cond */
#define TIMEOUT 10000000000ULL
#define WAIT(cond) ({ \
	u64 end__ = rdtsc() + TIMEOUT; \
	bool ok__; \
	while (!(ok__ = (cond)) && rdtsc() < end__) \
		pause(); \
	ok__; })
#define DELAY 20000000ULL
void delay(void);	/* long enough for an interrupt that should not come */

/* Other processors */
unsigned nr_cpus(void);
void start_on(unsigned cpu, void (*fn)(void *), void *arg);
void wait_for(unsigned cpu);

/* Guests on processors of their own: vCPU n on processor n, without HLT exits */
extern volatile bool stop, up[NR_VCPUS];
struct vcpu *prepare_guest(unsigned id, void (*fn)(u64), bool x2avic);
void start_prepared(struct vcpu *v);
struct vcpu *start_guest(unsigned id, void (*fn)(u64), bool x2avic);
void finish(struct vcpu *v);	/* stop, and it has to end with VMMCALL */
void guest_spin(u64 id);	/* until stop, with IF=1 */
void guest_halt(u64 id);

/* Enter a guest of vmmcall_forever() until stop; in between interrupts are taken */
extern volatile u64 runs;
void vmmcall_forever(u64 arg);
void run_until_stop(void *vcpu);

/* Whether the host has had a vector n times; so many WAITs, as a machine may be busy */
bool arrived(u8 vector, u32 n, unsigned times);

/* Boot a processor again that an INIT has stopped */
bool restart(unsigned cpu);

/*
 * SMM, of all processors but the first: the handler notes what it sees at the
 * APIC page, counts, and stays while it is held.
 */
extern volatile struct smm_data {
	u32 apic_id, unmapped, count, hold;
} smm_data;
void install_smm(void);
void send_smi(unsigned cpu);

/* Vectors that the host took outside a guest */
extern volatile u32 host_irqs[256];

#endif
