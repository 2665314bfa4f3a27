// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A small SVM hypervisor: host and guests share one address space (the first
 * 4 GiB, one to one) and one IDT, so a guest is a C function with a stack of
 * its own. Results are KTAP on the serial port.
 */
#include <stdarg.h>
#include "lib.h"

#define SERIAL 0x3f8
#define DEBUG_EXIT 0xf4
#define MSR_HSAVE 0xc0010117
#define MAX_CPUS 8
#define WAKE_VECTOR 0x30

extern u64 pml4[512];
extern u64 pd[2048];
extern u8 stacks[16][STACK_SIZE];
extern char idt_stubs[], trampoline[], trampoline_end[], guest_return[];
extern struct { u16 limit; u64 base; } __attribute__((packed)) gdt_ptr, idt_ptr;
extern u32 boot_stack;
extern const struct test tests_begin[], tests_end[];
void vmrun(struct regs *regs, u64 vmcb);

#define ALIGNED __attribute__((aligned(PAGE)))

struct vcpu vcpus[NR_VCPUS];
static u8 vmcbs[NR_VCPUS][PAGE] ALIGNED;
static u8 apics[NR_VCPUS][PAGE] ALIGNED;
static u8 hsave[MAX_CPUS][PAGE] ALIGNED;
u64 physical_table[512] ALIGNED;
u32 logical_table[1024] ALIGNED;
u8 msrpm[2 * PAGE] ALIGNED;
static u8 iopm[3 * PAGE] ALIGNED;
static u64 npt_pml4[512] ALIGNED;
static u64 npt_pdpt[512] ALIGNED;
static u64 npt_pd[2048] ALIGNED;
u64 npt_apic[512] ALIGNED;
u8 npt_scratch[PAGE] ALIGNED;

struct { u16 off0, sel; u8 ist, type; u16 off1; u32 off2, zero; } idt[256];

static bool failed;
static unsigned this_test_failures;

void *memset(void *p, int c, size_t n);
void *memset(void *p, int c, size_t n)
{
	asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *d, const void *s, size_t n);
void *memcpy(void *d, const void *s, size_t n)
{
	void *r = d;

	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) :: "memory");
	return r;
}

/* Output */

static void outb(u16 port, u8 val)
{
	asm volatile("outb %0, %1" :: "a"(val), "Nd"(port));
}

static void put(char c)
{
	outb(SERIAL, c);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(u64 n, unsigned base)
{
	char buf[24];
	int i = sizeof(buf);

	buf[--i] = 0;
	do {
		buf[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	put_string(buf + i);
}

/* %s, %d (unsigned int) and %llx */
static void print(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
		} else if (*++fmt == 's') {
			put_string(va_arg(ap, const char *));
		} else if (*fmt == 'd') {
			put_number(va_arg(ap, unsigned), 10);
		} else {
			fmt += 2;
			put_string("0x");
			put_number(va_arg(ap, unsigned long long), 16);
		}
	}
}

void note(const char *fmt, ...)
{
	va_list ap;

	put_string("# ");
	va_start(ap, fmt);
	print(fmt, ap);
	va_end(ap);
	put('\n');
}

void check_eq(const char *file, int line, const char *what, u64 got, u64 want)
{
	if (got == want)
		return;
	if (this_test_failures++ < 20)
		note("%s:%d: %s: got %llx, want %llx", file, line, what,
		     (unsigned long long)got, (unsigned long long)want);
}

static void quit(u8 code)
{
	outb(DEBUG_EXIT, code);
	for (;;)
		asm volatile("cli; hlt");
}

void check_exit(const char *file, int line, struct vcpu *v, u64 code, u64 info1,
		u64 info2)
{
	check_eq(file, line, "exit code", get64(v, V_EXIT_CODE), code);
	check_eq(file, line, "EXITINFO1", get64(v, V_EXIT_INFO1), info1);
	check_eq(file, line, "EXITINFO2", get64(v, V_EXIT_INFO2), info2);
}

/* Interrupts: whose stack it is says whether it is a guest's */

volatile u32 host_irqs[256];

#define GUEST_STACK 8

void handle_interrupt(u64 vector, u64 rip);
void handle_interrupt(u64 vector, u64 rip)
{
	u8 here;
	unsigned stack = (&here - stacks[0]) / STACK_SIZE;

	if (stack >= GUEST_STACK) {
		struct vcpu *v = &vcpus[stack - GUEST_STACK];
		unsigned n = v->nr_irqs;

		if (n < sizeof(v->irqs))
			v->irqs[n] = vector;
		v->nr_irqs = n + 1;
		if (v->eoi && (get32(v, V_INT_CTL) & X2AVIC_ENABLE))
			write_msr(0x80b, 0);
		else if (v->eoi)
			apic_write(APIC_EOI, 0);
		return;
	}
	if (vector < 32 && vector != 2) {
		note("exception %d at %llx in the host", (unsigned)vector,
		     (unsigned long long)rip);
		put_string("Bail out! exception in the host\n");
		quit(2);
	}
	host_irqs[vector]++;
	if (vector >= 32 && (read_msr(MSR_APIC_BASE) & APIC_BASE_X2APIC))
		write_msr(0x80b, 0);
	else if (vector >= 32)
		apic_write(APIC_EOI, 0);
}

bool vector_get(struct vcpu *v, unsigned reg, u8 vector)
{
	return apic_get(v, reg + (vector >> 5) * 16) >> (vector & 31) & 1;
}

void vector_set(struct vcpu *v, unsigned reg, u8 vector)
{
	u32 *word = (u32 *)(v->apic + reg + (vector >> 5) * 16);

	__atomic_or_fetch(word, 1U << (vector & 31), __ATOMIC_SEQ_CST);
}

void delay(void)
{
	u64 end = rdtsc() + DELAY;

	while (rdtsc() < end)
		pause();
}

/* Guests */

void vmmcall_only(u64 arg)
{
	(void)arg;
	vmmcall();
}

void hlt_if1(u64 arg)
{
	(void)arg;
	asm volatile("sti; hlt" ::: "memory");
}

static void set_segment(struct vcpu *v, unsigned off, u16 sel, u16 attrib)
{
	set32(v, off, sel | (u32)attrib << 16);
	set32(v, off + 4, 0xffffffff);
}

static u64 read_cr(int n)
{
	u64 val;

	if (n == 0)
		asm volatile("mov %%cr0, %0" : "=r"(val));
	else if (n == 3)
		asm volatile("mov %%cr3, %0" : "=r"(val));
	else
		asm volatile("mov %%cr4, %0" : "=r"(val));
	return val;
}

static void init_npt(void)
{
	const u64 apic = APIC_BASE >> 21;

	npt_pml4[0] = (u64)npt_pdpt | 7;
	for (int i = 0; i < 4; i++)
		npt_pdpt[i] = (u64)(npt_pd + i * 512) | 7;
	for (u64 i = 0; i < 2048; i++)
		npt_pd[i] = i << 21 | 0xe7;
	npt_pd[apic] = (u64)npt_apic | 7;
	for (u64 i = 0; i < 512; i++)
		npt_apic[i] = (apic << 21) + (i << 12) + 0x67;
	npt_apic[0] = (u64)npt_scratch | 0x67;
}

struct vcpu *vcpu_init(unsigned id, void (*fn)(u64), u64 arg)
{
	struct vcpu *v = &vcpus[id];
	u64 *stack = (u64 *)(stacks[GUEST_STACK + id] + STACK_SIZE) - 1;

	memset(v, 0, sizeof(*v));
	v->id = id;
	v->vmcb = vmcbs[id];
	v->apic = apics[id];
	v->regs.rdi = arg;
	memset(v->vmcb, 0, PAGE);
	memset(v->apic, 0, PAGE);

	*stack = (u64)guest_return;
	set32(v, V_INTERCEPT_EXC, -1);
	set32(v, V_INTERCEPT1, INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT |
	      INTERCEPT_HLT | INTERCEPT_MSR | INTERCEPT_SHUTDOWN);
	set32(v, V_INTERCEPT2, 3);	/* VMRUN, VMMCALL */
	set64(v, V_IOPM, (u64)iopm);
	set64(v, V_MSRPM, (u64)msrpm);
	set32(v, V_ASID, 1);
	set32(v, V_INT_CTL, V_INTR_MASKING | AVIC_ENABLE);
	set64(v, V_NESTED_CTL, 1);
	set64(v, V_NESTED_CR3, (u64)npt_pml4);
	set64(v, V_APIC_BAR, APIC_BASE);
	set64(v, V_BACKING_PAGE, (u64)v->apic);
	set64(v, V_LOGICAL_TABLE, (u64)logical_table);
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | (NR_VCPUS - 1));

	set_segment(v, V_CS, 0x08, 0xa9b);
	set_segment(v, V_SS, 0x10, 0xc93);
	set_segment(v, V_DS, 0x10, 0xc93);
	set_segment(v, V_ES, 0x10, 0xc93);
	set32(v, V_GDTR + 4, gdt_ptr.limit);
	set64(v, V_GDTR + 8, gdt_ptr.base);
	set32(v, V_IDTR + 4, idt_ptr.limit);
	set64(v, V_IDTR + 8, idt_ptr.base);
	set64(v, V_EFER, read_msr(0xc0000080));
	set64(v, V_CR0, read_cr(0));
	set64(v, V_CR3, read_cr(3));
	set64(v, V_CR4, read_cr(4));
	set64(v, V_DR6, 0xffff0ff0);
	set64(v, V_DR7, 0x400);
	set64(v, V_RFLAGS, 2);
	set64(v, V_RIP, (u64)fn);
	set64(v, V_RSP, (u64)stack);

	apic_set(v, APIC_ID, id << 24);
	apic_set(v, APIC_VERSION, 0x50014);
	apic_set(v, APIC_LDR, 1U << (24 + id));
	apic_set(v, APIC_DFR, -1);
	apic_set(v, APIC_SVR, 0x1ff);
	return v;
}

void set_x2avic(struct vcpu *v)
{
	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | X2AVIC_ENABLE);
	apic_set(v, APIC_ID, v->id);
	apic_set(v, APIC_LDR, v->id >> 4 << 16 | 1U << (v->id & 15));
}

u64 run(struct vcpu *v)
{
	asm volatile("clgi");
	vmrun(&v->regs, (u64)v->vmcb);
	asm volatile("stgi");
	return get64(v, V_EXIT_CODE);
}

u64 run_if1(struct vcpu *v)
{
	asm volatile("clgi");
	sti();
	vmrun(&v->regs, (u64)v->vmcb);
	cli();
	asm volatile("stgi");
	return get64(v, V_EXIT_CODE);
}

/* Processors */

static struct {
	void (*volatile fn)(void *);
	void *volatile arg;
} jobs[MAX_CPUS];
static volatile u32 cpus_up, last_up;

static void enable_svm(unsigned cpu)
{
	write_msr(MSR_HSAVE, (u64)hsave[cpu]);
	apic_write(APIC_SVR, 0x1ff);
}

unsigned nr_cpus(void)
{
	return cpus_up;
}

static void idle(unsigned cpu)
{
	enable_svm(cpu);
	jobs[cpu].fn = NULL;
	if (cpus_up <= cpu)
		cpus_up = cpu + 1;
	last_up = cpu;
	for (;;) {
		if (jobs[cpu].fn) {
			jobs[cpu].fn(jobs[cpu].arg);
			jobs[cpu].fn = NULL;
		}
		/* Do not take time from the processors that work. */
		cli();
		if (!jobs[cpu].fn)
			asm volatile("sti; hlt; cli" ::: "memory");
	}
}

void start_on(unsigned cpu, void (*fn)(void *), void *arg)
{
	jobs[cpu].arg = arg;
	jobs[cpu].fn = fn;
	apic_write(APIC_ICR2, cpu << 24);
	apic_write(APIC_ICR, WAKE_VECTOR);
}

void wait_for(unsigned cpu)
{
	if (!WAIT(!jobs[cpu].fn)) {
		note("processor %d does not come back", cpu);
		put_string("Bail out! a guest hangs\n");
		quit(3);
	}
}

/* One at a time: they share a trampoline and the variable for the stack */
static void boot_cpu(unsigned cpu)
{
	last_up = 0;
	boot_stack = (u32)(u64)stacks[cpu + 1];
	apic_write(APIC_ICR2, cpu << 24);
	apic_write(APIC_ICR, 0x4500);
	delay();
	apic_write(APIC_ICR2, cpu << 24);
	apic_write(APIC_ICR, 0x4608);
}

bool restart(unsigned cpu)
{
	boot_cpu(cpu);
	return WAIT(last_up == cpu);
}

static void start_cpus(void)
{
	unsigned cpu = 1;

	memcpy((void *)0x8000, trampoline, trampoline_end - trampoline);
	do {
		boot_cpu(cpu);
		for (int i = 0; i < 10 && last_up != cpu; i++)
			delay();
	} while (last_up == cpu && ++cpu < MAX_CPUS);
}

/* Guests on them */

volatile bool stop, up[NR_VCPUS];

static void run_guest(void *arg)
{
	run(arg);
}

struct vcpu *prepare_guest(unsigned id, void (*fn)(u64), bool x2avic)
{
	struct vcpu *v = vcpu_init(id, fn, id);

	if (x2avic)
		set_x2avic(v);
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_HLT);
	v->eoi = true;
	stop = up[id] = false;
	return v;
}

void start_prepared(struct vcpu *v)
{
	physical_table[v->id] |= BIT(62) | v->id;
	start_on(v->id, run_guest, v);
}

struct vcpu *start_guest(unsigned id, void (*fn)(u64), bool x2avic)
{
	struct vcpu *v = prepare_guest(id, fn, x2avic);

	start_prepared(v);
	return v;
}

void finish(struct vcpu *v)
{
	stop = true;
	/* A halted one has to see it, too */
	vector_set(v, APIC_IRR, 0x20);
	write_msr(MSR_DOORBELL, v->id);
	wait_for(v->id);
	CHECK("exit", get64(v, V_EXIT_CODE), EXIT_VMMCALL);
}

void guest_spin(u64 id)
{
	sti();
	up[id] = true;
	while (!stop)
		pause();
}

void guest_halt(u64 id)
{
	up[id] = true;
	while (!stop)
		asm volatile("sti; hlt; cli" ::: "memory");
}

volatile u64 runs;

void vmmcall_forever(u64 arg)
{
	(void)arg;
	for (;;)
		vmmcall();
}

void run_until_stop(void *vcpu)
{
	struct vcpu *v = vcpu;

	while (!stop) {
		run_if1(v);
		set64(v, V_RIP, (u64)vmmcall_forever);
		sti();
		asm volatile("nop");
		cli();
		runs++;
	}
}

bool arrived(u8 vector, u32 n, unsigned times)
{
	while (times--)
		if (WAIT(host_irqs[vector] == n))
			return true;
	return false;
}

/* SMM: the handler is where it is after a reset */

volatile struct smm_data smm_data;
extern char smm_handler[], smm_handler_end[];

void install_smm(void)
{
	memset((void *)&smm_data, 0, sizeof(smm_data));
	memcpy((void *)0x38000, smm_handler, smm_handler_end - smm_handler);
}

void send_smi(unsigned cpu)
{
	apic_write(APIC_ICR2, cpu << 24);
	apic_write(APIC_ICR, ICR_MODE(2));
}

static void init_idt(void)
{
	for (int i = 0; i < 256; i++) {
		u64 stub = (u64)idt_stubs + i * 16;

		idt[i].off0 = stub;
		idt[i].off1 = stub >> 16;
		idt[i].sel = 8;
		idt[i].type = 0x8e;
	}
}

static void reset_tables(void)
{
	memset(physical_table, 0, sizeof(physical_table));
	memset(logical_table, 0, sizeof(logical_table));
	memset(msrpm, 0, sizeof(msrpm));
	memset(npt_scratch, 0, sizeof(npt_scratch));
	init_npt();
	for (u64 i = 0; i < NR_VCPUS; i++) {
		physical_table[i] = BIT(63) | (u64)apics[i];
		logical_table[i] = BIT(31) | i;
	}
	memset((void *)host_irqs, 0, sizeof(host_irqs));
}

void start_c(void);
void start_c(void)
{
	unsigned n = 0;

	if (cpus_up)
		idle(apic_read(APIC_ID) >> 24);
	init_idt();
	outb(0x21, 0xff);	/* the PIC, as the firmware left it */
	outb(0xa1, 0xff);
	enable_svm(0);
	cpus_up = 1;
	start_cpus();

	put_string("KTAP version 1\n1..");
	put_number(tests_end - tests_begin, 10);
	put('\n');
	for (const struct test *t = tests_begin; t < tests_end; t++) {
		this_test_failures = 0;
		reset_tables();
		if (suite_setup)
			suite_setup();
		t->run();
		failed |= this_test_failures;
		put_string(this_test_failures ? "not ok " : "ok ");
		put_number(++n, 10);
		put(' ');
		put_string(t->name);
		put('\n');
	}
	quit(failed);
}
