/* SPDX-License-Identifier: GPL-2.0 */
/*
 * open_device(eventfd): the PCI device `address`, that VFIO has; its first MSI goes to the
 * eventfd.  kind_of() says how to start it, and how to have it send one.
 *
 * The device needs no driver but what is here.  It is asked for the least that makes
 * it send an interrupt: a USB controller (xHCI) for a command that does nothing, an
 * NVMe disk for one of its settings, an Intel network card for the interrupt itself.
 * No data of a disk is read or written.
 */
#ifndef MSI_DEVICE_H
#define MSI_DEVICE_H

#include <sys/eventfd.h>

#include "vm.h"
#include "vfio_device.h"

#define SKIPPED		4
#define RING		64		/* commands, and what comes of them */
#define MEMORY_BYTES	(2u << 20)
#define IOVA		(16u << 20)	/* where the device has that memory */
#define PCI_COMMAND	4		/* memory and bus mastering: bits 1 and 2 */

#define skip(...) do { printf("- Skipping test: " __VA_ARGS__); puts(""); exit(SKIPPED); } while (0)

static const char *address;	/* of the device, as 0000:00:04.0 */
static int device;
static volatile unsigned char *registers;
static unsigned char *shared;	/* what device and program both see */
static size_t used;

static uint32_t get(unsigned int at)
{
	return *(volatile uint32_t *)(registers + at);
}

static void set(unsigned int at, uint32_t value)
{
	*(volatile uint32_t *)(registers + at) = value;
}

static void set64(unsigned int at, uint64_t value)
{
	set(at, value);
	set(at + 4, value >> 32);
}

/* Pages for the device, all zeros. */
static void *pages(unsigned int count)
{
	void *found = shared + used;

	used += count << 12;
	check(used <= MEMORY_BYTES, "the device wants more than %u MiB", MEMORY_BYTES >> 20);
	return found;
}

static uint64_t iova(const void *memory)
{
	return IOVA + ((const unsigned char *)memory - shared);
}

/* Devices answer within seconds, if at all. */
static void wait_for(unsigned int at, uint32_t mask, uint32_t value, const char *what)
{
	check(within((get(at) & mask) == value), "%s: the device does not answer: %s", address, what);
}

/* A kind of device: start it, and have it send one MSI. */
struct kind {
	void (*start)(void);
	void (*send)(void);
};

/* xHCI, by its own specification. */

#define USBCMD		0x00
#define USBSTS		0x04
#define CRCR		0x18
#define DCBAAP		0x30
#define CONFIG		0x38
#define IMAN		0x20	/* of the first interrupter */
#define IMOD		0x24
#define ERSTSZ		0x28
#define ERSTBA		0x30
#define ERDP		0x38
#define BUSY		8	/* in ERDP: written back to say that the event is dealt with */
#define NO_OP		(23u << 10)
#define LINK		(6u << 10)
#define TOGGLE		2
#define COMPLETED	33

struct trb {
	uint64_t pointer;
	uint32_t status, control;
};

static struct {
	unsigned int operational, runtime, doorbells;
	volatile struct trb *commands, *events;
	unsigned int command, event, sent, completed;
	uint32_t command_cycle, event_cycle;
} xhci = { .command_cycle = 1, .event_cycle = 1 };

static void start_xhci(void)
{
	unsigned int i, spare, op = get(0) & 0xff;
	uint64_t *contexts, *buffers, *segment;

	xhci.operational = op;
	xhci.doorbells = get(0x14) & ~3u;
	xhci.runtime = get(0x18) & ~31u;

	wait_for(op + USBSTS, 1 << 11, 0, "it is not ready");
	set(op + USBCMD, get(op + USBCMD) & ~1u);
	wait_for(op + USBSTS, 1, 1, "it does not halt");
	set(op + USBCMD, 2);
	wait_for(op + USBCMD, 2, 0, "it does not end its reset");
	wait_for(op + USBSTS, 1 << 11, 0, "it is not ready after its reset");

	contexts = pages(1);
	spare = (get(8) >> 27 & 31) | (get(8) >> 21 & 31) << 5;
	buffers = pages((spare * 8 + 4095) >> 12);
	for (i = 0; i < spare; i++)
		buffers[i] = iova(pages(1));
	contexts[0] = spare ? iova(buffers) : 0;
	xhci.commands = pages(1);
	xhci.commands[RING - 1].pointer = iova((void *)xhci.commands);
	xhci.commands[RING - 1].control = LINK | TOGGLE;
	xhci.events = pages(1);
	segment = pages(1);
	segment[0] = iova((void *)xhci.events);
	segment[1] = RING;

	set(op + CONFIG, 1);
	set64(op + DCBAAP, iova(contexts));
	set64(op + CRCR, iova((void *)xhci.commands) | 1);
	set(xhci.runtime + ERSTSZ, 1);
	set64(xhci.runtime + ERDP, iova((void *)xhci.events));
	set64(xhci.runtime + ERSTBA, iova(segment));
	set(xhci.runtime + IMOD, 0);
	set(xhci.runtime + IMAN, 3);
	set(op + USBCMD, 1 | 4);
	wait_for(op + USBSTS, 1, 0, "it does not run");
}

/* Take what it has told; of that, what is of commands counts. */
static void take_events(void)
{
	volatile struct trb *event;

	while (event = &xhci.events[xhci.event], (event->control & 1) == xhci.event_cycle) {
		xhci.completed += (event->control >> 10 & 63) == COMPLETED;
		if (++xhci.event == RING) {
			xhci.event = 0;
			xhci.event_cycle ^= 1;
		}
	}
	set64(xhci.runtime + ERDP, iova((void *)&xhci.events[xhci.event]) | BUSY);
}

static void send_xhci(void)
{
	/* Also what it says of its ports by itself: an event that is not taken holds back interrupts. */
	check(within((take_events(), xhci.completed == xhci.sent)), "%s: a command was not carried out", address);
	if (xhci.command == RING - 1) {
		xhci.commands[xhci.command].control = LINK | TOGGLE | xhci.command_cycle;
		xhci.command = 0;
		xhci.command_cycle ^= 1;
	}
	xhci.commands[xhci.command++].control = NO_OP | xhci.command_cycle;
	xhci.sent++;
	__sync_synchronize();
	set(xhci.doorbells, 0);
}

/* NVMe, by its own specification: nothing but its administrative queue. */

#define CC		0x14
#define CSTS		0x1c
#define AQA		0x24
#define ASQ		0x28
#define ACQ		0x30
#define TAIL		0x1000
#define GET_FEATURES	0x0a
#define ARBITRATION	1

static struct {
	volatile uint32_t *commands;	/* 16 words each */
	volatile uint32_t *completions;	/* 4 words each, a phase in bit 16 of the last one */
	unsigned int head, tail, head_register;
	uint32_t phase;
	bool asked;
} nvme = { .phase = 1 };

static void start_nvme(void)
{
	set(CC, get(CC) & ~1u);
	wait_for(CSTS, 1, 0, "it does not stop");
	nvme.commands = pages(1);
	nvme.completions = pages(1);
	nvme.head_register = TAIL + (4u << (get(4) & 15));
	set(AQA, (RING - 1) << 16 | (RING - 1));
	set64(ASQ, iova((void *)nvme.commands));
	set64(ACQ, iova((void *)nvme.completions));
	set(CC, 4 << 20 | 6 << 16 | 1);
	wait_for(CSTS, 1, 1, "it does not start");
}

static void send_nvme(void)
{
	volatile uint32_t *command = nvme.commands + 16 * nvme.tail;

	if (nvme.asked) {
		check(within((nvme.completions[4 * nvme.head + 3] >> 16 & 1) == nvme.phase),
		      "%s: a command was not carried out", address);
		if (++nvme.head == RING) {
			nvme.head = 0;
			nvme.phase ^= 1;
		}
		set(nvme.head_register, nvme.head);
	}
	command[0] = GET_FEATURES | nvme.tail << 16;
	command[10] = ARBITRATION;
	nvme.tail = (nvme.tail + 1) % RING;
	nvme.asked = true;
	__sync_synchronize();
	set(TAIL, nvme.tail);
}

/* Intel's 82576, I350, I210, I225 and those like them. */

#define CONTROL		0x0000
#define IMC		0x150c
#define GPIE		0x1514
#define EICS		0x1520
#define EIMS		0x1524
#define EIAC		0x152c

static void start_intel(void)
{
	set(CONTROL, get(CONTROL) | 1 << 26);
	usleep(10000);
	wait_for(CONTROL, 1 << 26, 0, "it does not end its reset");
	set(IMC, ~0u);
	set(GPIE, 1 << 4);
	set(EIAC, 1);
	set(EIMS, 1);
}

static void send_intel(void)
{
	set(EICS, 1);
}

static struct kind kind_of(uint32_t class, uint32_t vendor)
{
	if (class == 0x0c0330)
		return (struct kind){ start_xhci, send_xhci };
	if (class == 0x010802)
		return (struct kind){ start_nvme, send_nvme };
	if (class == 0x020000 && vendor == 0x8086)
		return (struct kind){ start_intel, send_intel };
	skip("this program can't drive %s, of class %06x and vendor %04x", address, class, vendor);
}

static uint32_t attribute(const char *name)
{
	char path[256], text[32] = "";
	int file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	file = open(path, O_RDONLY);
	check(file >= 0 && read(file, text, sizeof(text) - 1) > 0, "no PCI device %s", address);
	close(file);
	return strtoul(text, NULL, 16);
}

/* Open the device, map its registers and our memory; it sends its first MSI to the eventfd. */
static void open_device(int eventfd)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA, .size = MEMORY_BYTES,
	};
	struct { struct vfio_irq_set set; int32_t fd; } irqs = {
		.set = {
			.argsz = sizeof(irqs), .count = 1, .index = VFIO_PCI_MSIX_IRQ_INDEX,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
		.fd = eventfd,
	};
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	char path[256], link[256];
	int container;
	uint16_t command;
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	length = readlink(path, link, sizeof(link) - 1);
	if (length < 0)
		skip("%s has no IOMMU", address);
	link[length] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	device = vfio_device(path, address, &container);

	shared = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED, "no memory for the device");
	map.vaddr = (unsigned long)shared;
	xioctl(container, VFIO_IOMMU_MAP_DMA, &map);

	xioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar);
	registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar.offset);
	if (registers == MAP_FAILED)
		err(1, "mapping %s's registers", address);
	xioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config);
	check(pread(device, &command, 2, config.offset + PCI_COMMAND) == 2, "%s: no configuration", address);
	command |= 6;
	check(pwrite(device, &command, 2, config.offset + PCI_COMMAND) == 2, "%s: no bus mastering", address);

	xioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info);
	if (!info.count) {
		info.index = irqs.set.index = VFIO_PCI_MSI_IRQ_INDEX;
		xioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info);
	}
	if (!info.count)
		skip("%s has neither MSI-X nor MSI", address);
	xioctl(device, VFIO_DEVICE_SET_IRQS, &irqs);
}

/* A VM whose vCPU 1 takes the device's MSIs as this vector; both are started. */
static inline struct kind start_with_device(int vector, bool x2apic)
{
	struct kind kind = kind_of(attribute("class"), attribute("vendor"));
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	check(fd >= 0, "no eventfd");
	new_vm(false);
	add_vcpu(1, 1);
	open_device(fd);
	connect_irqfd(&vcpus[1], fd, vector);
	start_vcpu(1, x2apic);
	kind.start();
	return kind;
}

#endif
