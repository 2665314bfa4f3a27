/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM whose vCPUs do what the test tells them, one step at a time.
 *
 * Each vCPU runs a loop in real mode that takes orders from its mailbox: write
 * this register, send that IPI, halt.  Interrupts are counted there by vector.
 * So a test is plain C on the host's side, and nothing but what it asks for
 * happens in the guest: no exit, no interrupt, no EOI that it did not order.
 *
 * Raw ioctls, no library: it runs on any kernel.
 */
#ifndef VM_H
#define VM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* CPU_SET() */
#endif
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <linux/kvm.h>

#include "create_vm.h"
#include "set_cpuid.h"
#include "stats.h"
#include "xioctl.h"

#define SECONDS		5	/* without an answer: it is lost */
#define LOOKS		(1000 * SECONDS)	/* for it, at the least: a machine that stands still has not looked */
#define MAX_VCPUS	3	/* two that run, and the gate */
#define IRQFD_GSI	24	/* the split irqchip has 0 to 23 */
#define LATE		5000	/* turns of the loop, some tenths of a millisecond */
#define CODE		0x1000
#define HANDLERS	0x2000
#define MAILBOX(i)	(0x8000 + 0x1000 * (i))
#define PORT		0x80
#define APIC_PAGE	0xfee00000u

/* Registers of the local APIC. */
#define ID		0x020
#define VERSION		0x030
#define TPR		0x080
#define EOI		0x0b0
#define LDR		0x0d0
#define DFR		0x0e0
#define SPIV		0x0f0
#define ICR		0x300
#define ICR_HIGH	0x310
#define LVT_TIMER	0x320
#define TIMER_COUNT	0x380
#define TIMER_CURRENT	0x390
#define TIMER_DIVIDE	0x3e0
#define MSR_APIC_BASE	0x1b
#define MSR_OF(reg)	(0x800 + ((reg) >> 4))

#define NMI		0x00400
#define LOGICAL		0x00800
#define ASSERT		0x04000
#define OTHERS		0xc0000

#define STRING_OF(x)	#x
#define STRING(x)	STRING_OF(x)

/* Orders. */
enum { IDLE, WRITE, READ, WRMSR, RDMSR, STI, CLI, HALT, SEND, SEND_X2, OUT };

struct mailbox {
	volatile uint32_t op;		/* 00: back to IDLE when done */
	volatile uint32_t a, b, c;	/* 04, 08, 0c */
	volatile uint32_t times;	/* 10: counted down by HALT, SEND, SEND_X2 */
	volatile uint32_t counter;	/* 14: address of what SEND waits for */
	volatile uint32_t result;	/* 18 */
	volatile uint32_t x2apic;	/* 1c: the handlers write EOI to an MSR */
	volatile uint32_t no_eoi;	/* 20: the handlers write no EOI */
	volatile uint32_t turns;	/* 24: of the loop that waits for orders */
	volatile uint32_t stamp;	/* 28: turns when the last interrupt came */
	volatile uint32_t late;		/* 2c: how many of SEND's were taken LATE */
	volatile uint32_t peer;		/* 30: address of the target's mailbox */
	volatile uint32_t patience;	/* 34: how long SEND waits for the peer to run */
	uint32_t unused[18];
	volatile uint32_t taken[256];	/* 80: interrupts, by vector */
};

_Static_assert(offsetof(struct mailbox, taken) == 0x80, "the assembly knows this");

extern const unsigned char guest_code[], guest_code_end[];
extern const unsigned char guest_handlers[], guest_handlers_end[];

/* ds is the mailbox, es all of the memory, fs the local APIC's page. */
asm(
	"	.pushsection .rodata\n"
	"	.code16\n"
	"guest_code:\n"
	"0:	incl 0x24\n"
	"	movl 0x00, %eax\n"
	"	cmpl $1, %eax; je do_write\n"
	"	cmpl $2, %eax; je do_read\n"
	"	cmpl $3, %eax; je do_write_msr\n"
	"	cmpl $4, %eax; je do_read_msr\n"
	"	cmpl $5, %eax; je do_enable\n"
	"	cmpl $6, %eax; je do_disable\n"
	"	cmpl $7, %eax; je do_halt\n"
	"	cmpl $8, %eax; je do_send\n"
	"	cmpl $9, %eax; je do_send\n"
	"	cmpl $10, %eax; je do_out\n"
	"	jmp 0b\n"
	"do_done:\n"
	"	movl $0, 0x00\n"
	"	jmp 0b\n"
	"do_write:\n"
	"	movw 0x04, %bx\n"
	"	movl 0x08, %eax\n"
	"	movl %eax, %fs:(%bx)\n"
	"	jmp do_done\n"
	"do_read:\n"
	"	movw 0x04, %bx\n"
	"	movl %fs:(%bx), %eax\n"
	"	movl %eax, 0x18\n"
	"	jmp do_done\n"
	"do_write_msr:\n"
	"	movl 0x04, %ecx\n"
	"	movl 0x08, %eax\n"
	"	movl 0x0c, %edx\n"
	"	wrmsr\n"
	"	jmp do_done\n"
	"do_read_msr:\n"
	"	movl 0x04, %ecx\n"
	"	rdmsr\n"
	"	movl %eax, 0x18\n"
	"	jmp do_done\n"
	"do_enable:\n"
	"	sti\n"
	"	jmp do_done\n"
	"do_disable:\n"
	"	cli\n"
	"	jmp do_done\n"
	"do_halt:\n"
	"	sti\n"
	"	hlt\n"
	"	decl 0x10\n"
	"	jnz do_halt\n"
	"	jmp do_done\n"
	"do_send:\n"
	"	movw 0x14, %bx\n"
	"	movw 0x30, %di\n"
	"	movl %es:(%bx), %esi\n"
	/* Whether an interrupt is late shows only if the target runs right now. */
	"	movl 0x34, %ecx\n"
	"4:	movl %es:0x24(%di), %ebp\n"
	"	jecxz 6f\n"
	"	decl %ecx\n"
	"	movw $50, %ax\n"
	"5:	decw %ax\n"
	"	jnz 5b\n"
	"	cmpl %es:0x24(%di), %ebp\n"
	"	je 4b\n"
	"	movl %es:0x24(%di), %ebp\n"
	"6:\n"
	"	cmpl $9, 0x00; je 1f\n"
	"	movl 0x04, %eax\n"
	"	movl %eax, %fs:0x310\n"
	"	movl 0x08, %eax\n"
	"	movl %eax, %fs:0x300\n"
	"	jmp 2f\n"
	"1:	movl $0x830, %ecx\n"
	"	movl 0x08, %eax\n"
	"	movl 0x04, %edx\n"
	"	wrmsr\n"
	"2:	cmpl %esi, %es:(%bx)\n"
	"	je 2b\n"
	"	movl %es:0x28(%di), %eax\n"
	"	subl %ebp, %eax\n"
	"	cmpl $" STRING(LATE) ", %eax\n"
	"	jl 3f\n"
	"	incl 0x2c\n"
	"3:	decl 0x10\n"
	"	jnz do_send\n"
	"	jmp do_done\n"
	"do_out:\n"
	"	outb %al, $0x80\n"
	"	jmp do_done\n"
	"guest_code_end:\n"

	"guest_handlers:\n"
	"	.set vector, 0\n"
	"	.rept 256\n"
	"	.org guest_handlers + 32 * vector\n"
	"	pushl %eax\n"
	"	movl 0x24, %eax\n"
	"	movl %eax, 0x28\n"
	"	incl 0x80 + 4 * vector\n"
	"	.if vector < 16\n"
	"	jmp 1f\n"		/* exceptions and NMIs have no EOI */
	"	.else\n"
	"	jmp 0f\n"
	"	.endif\n"
	"	.set vector, vector + 1\n"
	"	.endr\n"
	"0:	cmpl $0, 0x20\n"
	"	jne 1f\n"
	"	cmpl $0, 0x1c\n"
	"	jne 2f\n"
	"	movl $0, %fs:0xb0\n"
	"1:	popl %eax\n"
	"	iretw\n"
	"2:	pushl %ecx\n"
	"	pushl %edx\n"
	"	movl $0x80b, %ecx\n"
	"	xorl %eax, %eax\n"
	"	xorl %edx, %edx\n"
	"	wrmsr\n"
	"	popl %edx\n"
	"	popl %ecx\n"
	"	jmp 1b\n"
	"guest_handlers_end:\n"
	"	.code64\n"
	"	.popsection\n");

struct vcpu {
	int index, id, fd, stats;
	bool x2apic;
	struct kvm_run *run;
	struct mailbox *mailbox;
	pthread_t thread;
	volatile pid_t tid;		/* of that thread */
	void (*volatile call)(struct vcpu *vcpu);	/* at the next OUT */
	volatile uint64_t mmio;		/* last access that came to userspace */
};

static bool x2avic;		/* the machine has it */
static int kvm, vm;
static unsigned char *memory;
static struct vcpu vcpus[MAX_VCPUS];
static struct vcpu *const gate = &vcpus[MAX_VCPUS - 1];

#define fail(...) errx(1, __VA_ARGS__)
#define check(condition, ...) do { if (!(condition)) fail(__VA_ARGS__); } while (0)

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* How long to look for something. */
struct patience {
	double end;
	unsigned int looks;
};

static inline struct patience patience(void)
{
	return (struct patience){ now() + SECONDS, LOOKS };
}

static inline bool ended(struct patience *patience)
{
	if (patience->looks)
		patience->looks--;
	return !patience->looks && now() >= patience->end;
}

/*
 * Sleeps, because it shares a CPU with the first vCPU.  Once met is enough: what it
 * looks for may pass, as a vCPU that blocks is woken by the GA Log's late news.
 */
#define within(condition) ({						\
	struct patience _patience = patience();				\
	bool _met;							\
	while (!(_met = (condition)) && !ended(&_patience))		\
		usleep(500);						\
	_met || (condition);						\
})

static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "pinning to CPU %d", cpu);
}

static inline uint64_t stat_of(struct vcpu *vcpu, const char *name)
{
	return stat_in(vcpu->stats, name);
}

static inline void new_vm(bool full_irqchip)
{
	struct kvm_userspace_memory_region slot = { .memory_size = 0x10000 };
	unsigned int eax, ebx, ecx, edx;
	int vector;

	pin(0);
	__cpuid(0x8000000a, eax, ebx, ecx, edx);
	x2avic = edx & (1u << 18);

	vm = create_vm(&kvm, full_irqchip);

	memory = mmap(NULL, slot.memory_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap of guest memory");
	memcpy(memory + CODE, guest_code, guest_code_end - guest_code);
	memcpy(memory + HANDLERS, guest_handlers, guest_handlers_end - guest_handlers);
	for (vector = 0; vector < 256; vector++)
		memcpy(memory + 4 * vector,
		       (uint16_t[]){ HANDLERS + 32 * vector, 0 }, 4);
	slot.userspace_addr = (unsigned long)memory;
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

static inline void add_vcpu(int index, int id)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = { .rip = CODE, .rsp = 0x1000, .rflags = 2 };
	struct vcpu *vcpu = &vcpus[index];
	struct kvm_sregs sregs;

	vcpu->index = index;
	vcpu->id = id;
	vcpu->mailbox = (struct mailbox *)(memory + MAILBOX(index));
	vcpu->fd = xioctl(vm, KVM_CREATE_VCPU, id);
	vcpu->run = mmap(NULL, xioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
			 PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		err(1, "mmap of kvm_run");
	vcpu->stats = xioctl(vcpu->fd, KVM_GET_STATS_FD, 0);

	set_cpuid(kvm, vcpu->fd);

	xioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	sregs.ds.base = sregs.ss.base = MAILBOX(index);
	sregs.es.base = 0;
	sregs.fs.base = APIC_PAGE;
	xioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	xioctl(vcpu->fd, KVM_SET_REGS, &regs);
	xioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable);
}

static inline void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;

	vcpu->tid = gettid();
	pin(vcpu->index);
	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) && errno != EINTR)
			err(1, "KVM_RUN of vCPU%d", vcpu->id);
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (vcpu->call)
				vcpu->call(vcpu);
			break;
		case KVM_EXIT_MMIO:
			vcpu->mmio = run->mmio.phys_addr;
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
			break;
		case KVM_EXIT_INTR:
		case KVM_EXIT_IOAPIC_EOI:
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			break;
		default:
			fail("vCPU%d: exit %u", vcpu->id, run->exit_reason);
		}
	}
	return NULL;
}

static inline void start(struct vcpu *vcpu, int op)
{
	__sync_synchronize();
	vcpu->mailbox->op = op;
}

static inline void finish(struct vcpu *vcpu, const char *what)
{
	struct mailbox *mailbox = vcpu->mailbox;
	uint32_t left;

	/* On a busy machine a round takes long: it is lost if none gets done. */
	do {
		left = mailbox->times;
		if (!within(mailbox->op == IDLE || mailbox->times != left))
			break;
		if (mailbox->op == IDLE)
			return;
	} while (true);
	if (mailbox->taken[6] || mailbox->taken[13])
		fail("vCPU%d: a fault at '%s'", vcpu->id, what);
	if (mailbox->op == HALT)
		fail("vCPU%d: halted and not woken up at '%s'", vcpu->id, what);
	if (mailbox->op == SEND || mailbox->op == SEND_X2)
		fail("vCPU%d: no interrupt from its IPI, %u rounds before the end, at '%s'",
		     vcpu->id, mailbox->times, what);
	fail("vCPU%d: stuck at '%s'", vcpu->id, what);
}

static inline void order(struct vcpu *vcpu, int op, uint32_t a, uint32_t b, uint32_t c,
			 const char *what)
{
	vcpu->mailbox->a = a;
	vcpu->mailbox->b = b;
	vcpu->mailbox->c = c;
	start(vcpu, op);
	finish(vcpu, what);
}

static inline void write_msr(struct vcpu *vcpu, uint32_t msr, uint32_t low, uint32_t high)
{
	order(vcpu, WRMSR, msr, low, high, "a write of an MSR");
}

static inline void write_mmio(struct vcpu *vcpu, uint32_t reg, uint32_t value)
{
	order(vcpu, WRITE, reg, value, 0, "a write of a register");
}

static inline uint32_t read_mmio(struct vcpu *vcpu, uint32_t reg)
{
	order(vcpu, READ, reg, 0, 0, "a read of a register");
	return vcpu->mailbox->result;
}

static inline void write_reg(struct vcpu *vcpu, uint32_t reg, uint32_t value)
{
	if (vcpu->x2apic)
		write_msr(vcpu, MSR_OF(reg), value, 0);
	else
		write_mmio(vcpu, reg, value);
}

static inline uint32_t read_reg(struct vcpu *vcpu, uint32_t reg)
{
	if (!vcpu->x2apic)
		return read_mmio(vcpu, reg);
	order(vcpu, RDMSR, MSR_OF(reg), 0, 0, "a read of an MSR");
	return vcpu->mailbox->result;
}

static inline void send_ipi(struct vcpu *vcpu, uint32_t destination, uint32_t low)
{
	if (vcpu->x2apic) {
		write_msr(vcpu, MSR_OF(ICR), low, destination);
		return;
	}
	write_mmio(vcpu, ICR_HIGH, destination << 24);
	write_mmio(vcpu, ICR, low);
}

/* Send an IPI, wait for a count of interrupts to move, send the next one. */
static inline void start_ipis(struct vcpu *vcpu, uint32_t destination, uint32_t low,
			      struct vcpu *target, int vector, int times, int patience)
{
	vcpu->mailbox->patience = patience;
	vcpu->mailbox->a = vcpu->x2apic ? destination : destination << 24;
	vcpu->mailbox->b = low;
	vcpu->mailbox->times = times;
	vcpu->mailbox->late = 0;
	vcpu->mailbox->peer = MAILBOX(target->index);
	vcpu->mailbox->counter = vcpu->mailbox->peer +
				 offsetof(struct mailbox, taken[vector]);
	start(vcpu, vcpu->x2apic ? SEND_X2 : SEND);
}

/* Interrupts on or off; the first order after STI is past its shadow. */
static inline void enable_irqs(struct vcpu *vcpu)
{
	order(vcpu, STI, 0, 0, 0, "sti");
}

static inline void disable_irqs(struct vcpu *vcpu)
{
	order(vcpu, CLI, 0, 0, 0, "cli");
}

/* The state of the vCPU's thread, as ps has it: S if it sleeps. */
static inline char thread_state(struct vcpu *vcpu)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", vcpu->tid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
		err(1, "%s", path);
	fclose(file);
	return state;
}

/*
 * Halt until an interrupt comes; returns when KVM has the vCPU blocked.  KVM says so
 * a moment before it tells the CPU and the IOMMU, which know when the thread sleeps.
 */
static inline void halt(struct vcpu *vcpu)
{
	vcpu->mailbox->times = 1;
	start(vcpu, HALT);
	check(within(stat_of(vcpu, "blocking") && thread_state(vcpu) == 'S'),
	      "vCPU%d: does not block at HLT: blocking %d, thread %c, order %u, %d exits", vcpu->id,
	      (int)stat_of(vcpu, "blocking"), thread_state(vcpu), vcpu->mailbox->op,
	      (int)stat_of(vcpu, "exits"));
}

/* VM-Exits that the guest's doing caused, and not an interrupt of the host's. */
static inline int64_t exits_of(struct vcpu *vcpu)
{
	return stat_of(vcpu, "exits") - stat_of(vcpu, "irq_exits");
}

/* Do something in the vCPU's own thread, between two KVM_RUN. */
static inline void call(struct vcpu *vcpu, void (*function)(struct vcpu *vcpu))
{
	vcpu->call = function;
	order(vcpu, OUT, 0, 0, 0, "an exit to userspace");
	vcpu->call = NULL;
}

static inline void expect(struct vcpu *vcpu, int vector, uint32_t taken, const char *what)
{
	check(within(vcpu->mailbox->taken[vector] >= taken),
	      "vCPU%d: %s: interrupt lost (%u of %u)", vcpu->id, what,
	      vcpu->mailbox->taken[vector], taken);
	usleep(2000);
	check(vcpu->mailbox->taken[vector] == taken,
	      "vCPU%d: %s: %u interrupts, not %u", vcpu->id, what,
	      vcpu->mailbox->taken[vector], taken);
}

static inline void expect_none(struct vcpu *vcpu, int vector, const char *what)
{
	usleep(20000);
	check(!vcpu->mailbox->taken[vector], "vCPU%d: %s: an interrupt came", vcpu->id, what);
}

/*
 * Inhibit AVIC for the VM, or allow it again, by a vCPU that never runs: the
 * others take no part in it, and no event of theirs is looked at because of it.
 */
static inline void inhibit(bool on)
{
	struct kvm_guest_debug debug = {
		.control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0,
	};

	xioctl(gate->fd, KVM_SET_GUEST_DEBUG, &debug);
}

static inline void start_vcpu(int index, bool x2apic)
{
	struct vcpu *vcpu = &vcpus[index];

	if (pthread_create(&vcpu->thread, NULL, run_vcpu, vcpu))
		err(1, "pthread_create");
	if (x2apic) {
		write_msr(vcpu, MSR_APIC_BASE, APIC_PAGE | 0xc00 | (vcpu->id ? 0 : 0x100), 0);
		vcpu->mailbox->x2apic = vcpu->x2apic = true;
	}
	write_reg(vcpu, SPIV, 0x1ff);
	if (!x2apic)
		write_reg(vcpu, LDR, 0x01000000u << index);
	enable_irqs(vcpu);
}

/* Have KVM send a vCPU an MSI whenever the eventfd is written to. */
static inline void connect_irqfd(struct vcpu *vcpu, int eventfd, int vector)
{
	struct {
		struct kvm_irq_routing routing;
		struct kvm_irq_routing_entry entry;
	} table = { { .nr = 1 }, { .gsi = IRQFD_GSI, .type = KVM_IRQ_ROUTING_MSI,
				   .u.msi = { .address_lo = APIC_PAGE | vcpu->id << 12, .data = vector } } };
	struct kvm_irqfd irqfd = { .fd = eventfd, .gsi = IRQFD_GSI };

	xioctl(vm, KVM_SET_GSI_ROUTING, &table);
	xioctl(vm, KVM_IRQFD, &irqfd);
}

#endif
