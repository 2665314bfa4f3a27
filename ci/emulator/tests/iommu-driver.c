// SPDX-License-Identifier: GPL-2.0-or-later
/* What iommu.h declares: part of each suite that uses the IOMMU. */
#include "iommu.h"

#define EDU 0x11e81234
#define AMD_IOMMU 0x14191022
#define EDU_RAISE 0x60
#define EDU_DMA_FROM 0x80
#define EDU_DMA_TO 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_START 1
#define EDU_DMA_OUT 2
#define EDU_BUFFER 0x40000
#define PCI_BAR0 0x10
#define PCI_CAPS 0x34
#define CAP_MSI 5

u64 devtab[512][4] PAGE_ALIGNED;
struct irte irt[256] PAGE_ALIGNED;
volatile u64 galog[2 * GALOG_ENTRIES] PAGE_ALIGNED;
volatile u64 galog_tail;
volatile u64 events[4 << EVENT_LEN] PAGE_ALIGNED;
static u64 commands[256][2] PAGE_ALIGNED;
static u64 command_tail;

u16 edu_id, iommu_id;
static u64 edu_bar;

static void outl(u16 port, u32 val)
{
	asm volatile("outl %0, %1" :: "a"(val), "Nd"(port));
}

static u32 inl(u16 port)
{
	u32 val;

	asm volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static void pci_select(u16 id, unsigned reg)
{
	outl(0xcf8, 1U << 31 | (u32)id << 8 | (reg & 0xfc));
}

u32 pci_read(u16 id, unsigned reg)
{
	pci_select(id, reg);
	return inl(0xcfc);
}

void pci_write(u16 id, unsigned reg, u32 val)
{
	pci_select(id, reg);
	outl(0xcfc, val);
}

static u16 find_device(u32 what)
{
	for (u16 id = 0; id < 512; id += 8)
		if (pci_read(id, 0) == what)
			return id;
	note("no device %llx", (unsigned long long)what);
	return 0;
}

/* 64-bit capable, one vector */
static void set_msi(u16 id, u64 address, u32 data, bool enable)
{
	unsigned cap = pci_read(id, PCI_CAPS) & 0xff;

	while (cap && (pci_read(id, cap) & 0xff) != CAP_MSI)
		cap = pci_read(id, cap) >> 8 & 0xff;
	pci_write(id, cap + 4, address);
	pci_write(id, cap + 8, address >> 32);
	pci_write(id, cap + 12, data);
	pci_write(id, cap, enable ? 1 << 16 : 0);
}

void set_iommu_msi(unsigned cpu, unsigned vector)
{
	set_msi(iommu_id, APIC_BASE | cpu << 12, vector, vector);
}

void msi(unsigned data)
{
	static unsigned last = -1;

	if (data != last)
		set_msi(edu_id, APIC_BASE, data, true);
	last = data;
	write32(edu_bar + EDU_RAISE, 1);
}

static volatile u64 *edu(unsigned reg)
{
	return (volatile u64 *)(edu_bar + reg);
}

static void dma(u64 from, u64 to, u64 what)
{
	*edu(EDU_DMA_FROM) = from;
	*edu(EDU_DMA_TO) = to;
	*edu(EDU_DMA_COUNT) = 4;
	*edu(EDU_DMA_COMMAND) = EDU_DMA_START | what;
	CHECK("DMA is done", WAIT(!(*edu(EDU_DMA_COMMAND) & EDU_DMA_START)), 1);
}

void edu_read(u64 address)
{
	dma(address, EDU_BUFFER, 0);
}

void edu_write(u64 address)
{
	dma(EDU_BUFFER, address, EDU_DMA_OUT);
}

void control(u64 clear, u64 set)
{
	iommu_write(MMIO_CONTROL, (iommu_read(MMIO_CONTROL) & ~clear) | set);
}

void write_irte(unsigned index, u64 lo, u64 hi)
{
	struct irte *irte = &irt[index];
	u64 old_lo = irte->lo, old_hi = irte->hi;

	asm volatile("lock cmpxchg16b %0"
		     : "+m"(*irte), "+a"(old_lo), "+d"(old_hi)
		     : "b"(lo), "c"(hi) : "cc");
}

void enable_guest_mode(void)
{
	control(0, CTRL_GAM_VAPIC);
}

void enable_galog(void)
{
	control(0, CTRL_GAINT_EN);
	control(0, CTRL_GALOG_EN);
}

void post_to(struct vcpu *v, u64 bits)
{
	write_irte(INDEX, GUEST_IRTE | bits, IRTE_HI((u64)v->apic, VECTOR));
}

struct vcpu *logged_guest(void)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);

	enable_guest_mode();
	enable_galog();
	post_to(v, IRTE_GALOG_INTR | IRTE_TAG(TAG));
	return v;
}

u64 log_entry(u32 tag)
{
	return BIT(60) | (u64)edu_id << 32 | tag;
}

void start_command(unsigned op, u64 low, u64 high)
{
	u64 *slot = commands[command_tail / 16];

	slot[0] = (u64)op << 60 | low;
	slot[1] = high;
	command_tail = (command_tail + 16) % sizeof(commands);
	iommu_write(MMIO_CMD_TAIL, command_tail);
}

void command(unsigned op, u64 low, u64 high)
{
	start_command(op, low, high);
	CHECK("command is done", WAIT(iommu_read(MMIO_CMD_HEAD) == command_tail), 1);
}

void invalidate_irt(u16 id)
{
	command(CMD_INVALIDATE_INTERRUPT_TABLE, id, 0);
}

void set_dte(u16 id, u64 quad2)
{
	devtab[id][2] = quad2;
	command(CMD_INVALIDATE_DEVTAB, id, 0);
}

void find_edu(void)
{
	edu_id = find_device(EDU);
	edu_bar = pci_read(edu_id, PCI_BAR0) & ~0xfULL;
}

void iommu_setup(void)
{
	if (!edu_id) {
		find_edu();
		iommu_id = find_device(AMD_IOMMU);
	}
	pci_write(edu_id, PCI_COMMAND, PCI_MEMORY | PCI_MASTER);
	pci_write(iommu_id, PCI_COMMAND, PCI_MEMORY | PCI_MASTER);
	set_iommu_msi(0, 0);
	/* What an earlier test has left in the local APIC */
	taken(0);
	for (unsigned i = 0; i < 256; i++)
		host_irqs[i] = 0;

	iommu_write(MMIO_CONTROL, 0);
	iommu_write(MMIO_STATUS, -1ULL);
	for (unsigned i = 0; i < ARRAY_SIZE(devtab); i++)
		for (unsigned j = 0; j < 4; j++)
			devtab[i][j] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(irt); i++)
		irt[i].lo = irt[i].hi = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(galog); i++)
		galog[i] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		events[i] = 0;
	galog_tail = -1ULL;
	command_tail = 0;

	iommu_write(MMIO_DEVTAB, (u64)devtab | (sizeof(devtab) / PAGE - 1));
	iommu_write(MMIO_CMD_BASE, (u64)commands | 8ULL << 56);
	iommu_write(MMIO_EVENT_BASE, (u64)events | (u64)EVENT_LEN << 56);
	iommu_write(MMIO_GALOG_BASE, (u64)galog | (u64)GALOG_LEN << 56);
	iommu_write(MMIO_GALOG_TAIL_ADDR, (u64)&galog_tail);
	iommu_write(MMIO_GALOG_HEAD, 0);
	iommu_write(MMIO_GALOG_TAIL, 0);
	iommu_write(MMIO_XT_GEN, 0);
	iommu_write(MMIO_XT_GA, 0);
	control(0, CTRL_GA_EN | CTRL_CMD_BUF_EN);
	control(0, CTRL_IOMMU_EN);
	command(CMD_INVALIDATE_ALL, 0, 0);
	set_dte(edu_id, (u64)irt | DTE_INT_REMAP |
		DTE_INT_TAB_LEN(INT_TABLE_LEN) | DTE_IV);
}

unsigned taken(unsigned vector)
{
	u64 end = rdtsc() + 1000000;

	sti();
	while (rdtsc() < end)
		pause();
	cli();
	return host_irqs[vector];
}

/*
 * Processor 3 in x2APIC mode, where it compares all 32 bits of a destination.
 * It counts what it gets in host_irqs.
 */
static volatile bool x2apic_on;

static void x2apic_mode(void *arg)
{
	u64 base = read_msr(MSR_APIC_BASE);

	(void)arg;
	write_msr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	x2apic_on = true;
	sti();
	while (!stop)
		pause();
	cli();
	write_msr(MSR_APIC_BASE, base & ~APIC_BASE_ENABLE);
	write_msr(MSR_APIC_BASE, base);
	apic_write(APIC_SVR, 0x1ff);
}

void start_x2apic(void)
{
	stop = x2apic_on = false;
	start_on(3, x2apic_mode, NULL);
	CHECK("x2APIC", WAIT(x2apic_on), 1);
}

void stop_x2apic(void)
{
	stop = true;
	wait_for(3);
}

volatile unsigned moves;

void move_edu(void *arg)
{
	(void)arg;
	while (!stop) {
		pci_write(edu_id, PCI_COMMAND, moves & 1 ? PCI_MEMORY : 0);
		moves++;
	}
}
