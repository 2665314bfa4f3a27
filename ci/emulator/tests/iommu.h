/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver for the AMD IOMMU, as far as interrupts go, and for the edu device,
 * which sends an MSI when it is told to. Section numbers are those of AMD I/O
 * Virtualization Technology (IOMMU) Specification, 48882.
 */
#ifndef IOMMU_H
#define IOMMU_H

#include "lib.h"

#define PAGE_ALIGNED __attribute__((aligned(PAGE)))

/* Registers */
enum {
	MMIO_DEVTAB = 0x00, MMIO_CMD_BASE = 0x08, MMIO_EVENT_BASE = 0x10,
	MMIO_CONTROL = 0x18, MMIO_EFR = 0x30, MMIO_GALOG_BASE = 0xe0,
	MMIO_GALOG_TAIL_ADDR = 0xe8, MMIO_XT_GEN = 0x170, MMIO_XT_GA = 0x180,
	MMIO_EFR2 = 0x1a0, MMIO_CMD_HEAD = 0x2000, MMIO_CMD_TAIL = 0x2008,
	MMIO_EVENT_HEAD = 0x2010, MMIO_EVENT_TAIL = 0x2018,
	MMIO_STATUS = 0x2020, MMIO_GALOG_HEAD = 0x2040,
	MMIO_GALOG_TAIL = 0x2048,
};

#define CTRL_IOMMU_EN BIT(0)
#define CTRL_EVENT_LOG_EN BIT(2)
#define CTRL_EVENT_INT_EN BIT(3)
#define CTRL_COM_WAIT_INT_EN BIT(4)
#define CTRL_CMD_BUF_EN BIT(12)
#define CTRL_GA_EN BIT(17)
#define CTRL_GAM_VAPIC BIT(25)
#define CTRL_GALOG_EN BIT(28)
#define CTRL_GAINT_EN BIT(29)
#define CTRL_XT_EN BIT(50)
#define CTRL_INTCAPXT_EN BIT(51)
#define CTRL_IRTCACHE_DIS BIT(59)

#define STATUS_EVENT_OVERFLOW BIT(0)
#define STATUS_EVENT_INT BIT(1)
#define STATUS_COM_WAIT_INT BIT(2)
#define STATUS_EVENT_RUN BIT(3)
#define STATUS_CMD_RUN BIT(4)
#define STATUS_GALOG_RUN BIT(8)
#define STATUS_GALOG_OVERFLOW BIT(9)
#define STATUS_GALOG_INT BIT(10)

#define EFR_XT BIT(2)
#define EFR_GA BIT(7)
#define EFR_GAM (7 * BIT(21))
#define EFR_GAM_VAPIC BIT(21)

enum {
	CMD_COMPLETION_WAIT = 1, CMD_INVALIDATE_DEVTAB = 2,
	CMD_INVALIDATE_INTERRUPT_TABLE = 5, CMD_INVALIDATE_ALL = 8,
	CMD_ILLEGAL = 0xf,
};

/* Device table entry, bits 63:0, and entry of a page table; 0: a page, 1: 2 MiB of them */
#define ENTRY_PRESENT BIT(0)
#define DTE_TV BIT(1)
#define ENTRY_LEVEL(n) ((u64)(n) << 9)
#define ENTRY_READ BIT(61)
#define ENTRY_WRITE BIT(62)

/* Device table entry, bits 191:128 */
#define DTE_IV BIT(0)
#define DTE_INT_TAB_LEN(n) ((u64)(n) << 1)	/* 2^n entries */
#define DTE_IGNORE_UNMAPPED BIT(5)
#define DTE_INT_PASS BIT(60)
#define DTE_INT_REMAP BIT(61)

/* Interrupt remapping table entry of 128 bits */
struct irte {
	u64 lo, hi;
} __attribute__((aligned(16)));

#define IRTE_REMAP_EN BIT(0)
#define IRTE_NO_FAULT BIT(1)
#define IRTE_GALOG_INTR BIT(2)
#define IRTE_TYPE(n) ((u64)(n) << 2)
#define IRTE_IS_RUN BIT(6)
#define IRTE_GUEST_MODE BIT(7)
#define IRTE_DEST(id) ((u64)(id) << 8)
#define IRTE_TAG(tag) ((u64)(tag) << 32)
#define IRTE_HI(root, vector) ((u64)(root) | (vector))
#define IRTE_HI_DEST(id) ((u64)(id) >> 24 << 56)

#define INT_TABLE_LEN 7		/* 128 entries */
#define GALOG_LEN 8		/* 512 entries, a page */
#define GALOG_ENTRIES (2U << GALOG_LEN)
#define GALOG_SIZE (GALOG_ENTRIES * 8)
#define EVENT_PAGE_FAULT 2	/* bits 63:60 */
#define EVENT_DOMAIN(id) ((u64)(id) << 32)
#define EVENT_INTERRUPT BIT(51)
#define EVENT_PRESENT BIT(52)
#define EVENT_WRITE BIT(53)
#define EVENT_PERMISSION BIT(54)
#define EVENT_RESERVED BIT(55)
#define EVENT_LEN 8		/* 256 entries */
#define EVENT_SIZE ((1U << EVENT_LEN) * 16)

extern u64 devtab[512][4];
extern struct irte irt[256];
extern volatile u64 galog[2 * GALOG_ENTRIES];
extern volatile u64 galog_tail;
extern volatile u64 events[4 << EVENT_LEN];

#define IOMMU_BASE 0xfed80000UL

static inline u64 iommu_read(unsigned reg)
{
	return *(volatile u64 *)(IOMMU_BASE + reg);
}

static inline void iommu_write(unsigned reg, u64 val)
{
	*(volatile u64 *)(IOMMU_BASE + reg) = val;
}

/* Change bits of the control register */
void control(u64 clear, u64 set);
static inline u64 status(void) { return iommu_read(MMIO_STATUS); }

/* Only this is needed without an IOMMU */
void find_edu(void);

/* Reset tables and logs, enable the IOMMU; edu's DTE leads to irt[] */
void iommu_setup(void);
extern u16 edu_id, iommu_id;	/* bus, device, function */

/* Processor 3 in x2APIC mode; it counts what it gets in host_irqs */
void start_x2apic(void);
void stop_x2apic(void);

/* For another processor: switch edu's registers on and off until stop */
extern volatile unsigned moves;
void move_edu(void *arg);

/* Execute one command, or let it be executed; op is CMD_* */
void start_command(unsigned op, u64 low, u64 high);
void command(unsigned op, u64 low, u64 high);
void invalidate_irt(u16 id);
void set_dte(u16 id, u64 quad2);

/* Software changes both halves at once, and RemapEn may be set meanwhile */
void write_irte(unsigned index, u64 lo, u64 hi);

/* Entries for guests; most tests use one */
#define GUEST_IRTE (IRTE_REMAP_EN | IRTE_GUEST_MODE)
#define INDEX 5
#define VECTOR 0xa5
#define TAG 0xcafe1234
void enable_guest_mode(void);
void enable_galog(void);
void post_to(struct vcpu *v, u64 bits);

/* A guest that does not run and whose interrupts are logged with TAG */
struct vcpu *logged_guest(void);
u64 log_entry(u32 tag);

/* Let edu send its MSI with this data; it uses irt[data] */
void msi(unsigned data);
/* Let edu read four bytes at an address of its address space, or write them there */
void edu_read(u64 address);
void edu_write(u64 address);
/* The IOMMU's own MSI, or none if vector is 0 */
void set_iommu_msi(unsigned cpu, unsigned vector);

/* Host interrupts that have come for this vector since the test began */
unsigned taken(unsigned vector);

#define PCI_COMMAND 0x04
#define PCI_MEMORY BIT(1)
#define PCI_MASTER BIT(2)
u32 pci_read(u16 id, unsigned reg);
void pci_write(u16 id, unsigned reg, u32 val);

#endif
