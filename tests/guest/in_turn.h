/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM whose vCPUs run in turn, by one thread: what is counted does not depend
 * on the time.
 *
 * Each vCPU tells where it is by writing to a port: IRQs are on, they are off,
 * still off, its handler runs.  A vector's handler is one of HANDLERS.
 *
 * Raw ioctls and real mode: no library, so that it runs on any kernel.
 */
#ifndef IN_TURN_H
#define IN_TURN_H

#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <linux/kvm.h>

#include "create_vm.h"
#include "xioctl.h"

#define MAX_VCPUS	8	/* as many stacks fit into the memory */
#define MEMORY		0x10000
#define CODE		0x1000
#define HANDLERS	0x2000
#define STACK(i)	(0x8000 + 0x1000 * (i))	/* its end */
#define DATA(i)		(0x3000 + 0x40 * (i))
#define APIC_PAGE	0xfee00000u
#define SPIV		0x0f0
#define LVT0		0x350
#define LVT_EXTINT	0x700
#define GSI(i)		(32 + (i))

/* What the guest tells by writing to a port. */
#define PORT_OPEN	0x83	/* IRQs are on */
#define PORT_CLOSED	0x80	/* IRQs are off */
#define PORT_WAITING	0x81	/* the same, one exit later: the window is requested */
#define PORT_TAKEN	0x82	/* the handler runs */

static const unsigned char guest_code[] = {
	0xe6, PORT_OPEN,	/* 1000: out %al, $PORT_OPEN */
	0x90, 0x90, 0x90,	/* 1002: nop; nop; nop */
	0xfa,			/* 1005: cli */
	0xe6, PORT_CLOSED,	/* 1006: out %al, $PORT_CLOSED */
	0xe6, PORT_WAITING,	/* 1008: out %al, $PORT_WAITING */
	0xfb,			/* 100a: sti */
	0x90, 0x90, 0x90,	/* 100b: nop; nop; nop */
	0xeb, 0xf0,		/* 100e: jmp 1000 */
};

/* ds is the vCPU's DATA, fs the local APIC's page. */
static const unsigned char handlers[][32] = {
#define HANDLER_PLAIN	0	/* of an ExtINT, or with AutoEOI */
	{
		0xe6, PORT_TAKEN,			/* out %al, $PORT_TAKEN */
		0xcf,					/* iret */
	},
#define HANDLER_EOI	1
	{
		0xe6, PORT_TAKEN,
		0x64, 0x66, 0xc7, 0x06, 0xb0, 0x00,	/* movl $0, %fs:0xb0 */
		0x00, 0x00, 0x00, 0x00,
		0xcf,
	},
#define HANDLER_CLEAR	2	/* the first byte of DATA */
	{
		0xc6, 0x06, 0x00, 0x00, 0x00,		/* movb $0, 0 */
		0xe6, PORT_TAKEN,
		0xcf,
	},
#define HANDLER_BOTH	3
	{
		0xc6, 0x06, 0x00, 0x00, 0x00,
		0xe6, PORT_TAKEN,
		0x64, 0x66, 0xc7, 0x06, 0xb0, 0x00,
		0x00, 0x00, 0x00, 0x00,
		0xcf,
	},
};

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static int kvm, vm;
static unsigned char *memory;
static int irqfds[MAX_VCPUS];

/* The irqchip: KVM's full one, or the split one. */
static inline void new_vm(bool full_irqchip)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };

	vm = create_vm(&kvm, full_irqchip);

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap of guest memory");
	memcpy(memory + CODE, guest_code, sizeof(guest_code));
	memcpy(memory + HANDLERS, handlers, sizeof(handlers));
	slot.userspace_addr = (unsigned long)memory;
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

static inline void handle(int vector, int handler)
{
	unsigned short entry[] = { HANDLERS + handler * sizeof(*handlers), 0 };

	memcpy(memory + 4 * vector, entry, sizeof(entry));
}

/* Every vCPU takes ExtINTs, not only the first. */
static inline struct vcpu add_vcpu(long id)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_lapic_state lapic;
	unsigned int lvt0 = LVT_EXTINT, spiv = 0x1ff;
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK(id), .rflags = 0x202 };
	struct vcpu vcpu;

	vcpu.fd = xioctl(vm, KVM_CREATE_VCPU, id);
	vcpu.run = mmap(NULL, xioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
			PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	if (vcpu.run == MAP_FAILED)
		err(1, "mmap of kvm_run");

	xioctl(vcpu.fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	sregs.ds.base = DATA(id);
	sregs.fs.base = APIC_PAGE;
	xioctl(vcpu.fd, KVM_SET_SREGS, &sregs);
	xioctl(vcpu.fd, KVM_SET_REGS, &regs);

	xioctl(vcpu.fd, KVM_GET_LAPIC, &lapic);
	memcpy(&lapic.regs[LVT0], &lvt0, sizeof(lvt0));
	memcpy(&lapic.regs[SPIV], &spiv, sizeof(spiv));
	xioctl(vcpu.fd, KVM_SET_LAPIC, &lapic);
	xioctl(vcpu.fd, KVM_SET_MP_STATE, &runnable);
	return vcpu;
}

static inline bool runs_to(struct vcpu *vcpu, int port)
{
	xioctl(vcpu->fd, KVM_RUN, 0);
	return vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == port;
}

static inline bool arrives(struct vcpu *vcpu)
{
	return runs_to(vcpu, PORT_TAKEN);
}

static inline void run_to(struct vcpu *vcpu, int port)
{
	if (!runs_to(vcpu, port))
		errx(1, "exit %u at port %#x, expected port %#x",
		     vcpu->run->exit_reason, vcpu->run->io.port, port);
}

static inline void extint(struct vcpu *vcpu, int vector)
{
	struct kvm_interrupt interrupt = { .irq = vector };

	xioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
}

static inline struct kvm_irq_routing_entry msi_to(int id, int vector)
{
	return (struct kvm_irq_routing_entry) {
		.gsi = GSI(id),
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = APIC_PAGE | id << 12, .data = vector },
	};
}

static inline void route_irqs(int number, struct kvm_irq_routing_entry (*route)(int id))
{
	struct {
		struct kvm_irq_routing routing;
		struct kvm_irq_routing_entry entries[MAX_VCPUS];
	} table = { { .nr = number } };
	int i;

	for (i = 0; i < number; i++)
		table.entries[i] = route(i);
	xioctl(vm, KVM_SET_GSI_ROUTING, &table);
}

/* An irqfd for each vCPU. */
static inline void connect_irqfds(int number, struct kvm_irq_routing_entry (*route)(int id))
{
	int i;

	route_irqs(number, route);
	for (i = 0; i < number; i++) {
		struct kvm_irqfd irqfd = { .gsi = GSI(i), .fd = eventfd(0, 0) };

		irqfds[i] = irqfd.fd;
		xioctl(vm, KVM_IRQFD, &irqfd);
	}
}

static inline void signal_irqfd(int id)
{
	if (eventfd_write(irqfds[id], 1))
		err(1, "irqfd");
}

#endif
