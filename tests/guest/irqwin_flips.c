// SPDX-License-Identifier: GPL-2.0
/*
 * How often does one vCPU's IRQ windows toggle the VM's APICv inhibit while
 * another vCPU waits for a window all the time?
 *
 * vCPU0 has an ExtINT pending and keeps IRQs off, vCPU1 then takes ROUNDS
 * ExtINTs, each with a window of its own, and at last vCPU0 enables IRQs.
 * Every ExtINT must arrive.  The caller counts kvm_apicv_inhibit_changed.
 *
 * Raw ioctls and real mode: no library, so that it runs on any kernel.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/kvm.h>

#define ROUNDS		100
#define VECTOR		0x40
#define LVT0		0x350
#define LVT_EXTINT	0x700

/* What the guest tells by writing to a port. */
#define PORT_CLOSED	0x80	/* IRQs are off */
#define PORT_WAITING	0x81	/* the same, one exit later: the window is requested */
#define PORT_TAKEN	0x82	/* the handler runs */

static const unsigned char guest_code[] = {
	0xfa,			/* 1000: cli */
	0xe6, PORT_CLOSED,	/* 1001: out %al, $PORT_CLOSED */
	0xe6, PORT_WAITING,	/* 1003: out %al, $PORT_WAITING */
	0xfb,			/* 1005: sti */
	0x90, 0x90, 0x90,	/* 1006: nop; nop; nop */
	0xeb, 0xf5,		/* 1009: jmp 1000 */
};

static const unsigned char handler_code[] = {
	0xe6, PORT_TAKEN,	/* 2000: out %al, $PORT_TAKEN */
	0xcf,			/* 2002: iret */
};

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static int try_ioctl(int fd, unsigned long request, void *arg, const char *what)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "%s", what);
	return r;
}

#define xioctl(fd, request, arg) try_ioctl(fd, request, (void *)(long)(arg), #request)

static struct vcpu add_vcpu(int kvm, int vm, long id)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_lapic_state lapic;
	unsigned int lvt0 = LVT_EXTINT;
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = 0x1000, .rsp = 0x8000 + 0x1000 * id, .rflags = 2 };
	struct vcpu vcpu;

	vcpu.fd = xioctl(vm, KVM_CREATE_VCPU, id);
	vcpu.run = mmap(NULL, xioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
			PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	if (vcpu.run == MAP_FAILED)
		err(1, "mmap of kvm_run");

	xioctl(vcpu.fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	xioctl(vcpu.fd, KVM_SET_SREGS, &sregs);
	xioctl(vcpu.fd, KVM_SET_REGS, &regs);

	/* Every vCPU takes ExtINTs, not only the first. */
	xioctl(vcpu.fd, KVM_GET_LAPIC, &lapic);
	memcpy(&lapic.regs[LVT0], &lvt0, sizeof(lvt0));
	xioctl(vcpu.fd, KVM_SET_LAPIC, &lapic);
	xioctl(vcpu.fd, KVM_SET_MP_STATE, &runnable);
	return vcpu;
}

static void run_to(struct vcpu *vcpu, int port)
{
	xioctl(vcpu->fd, KVM_RUN, 0);
	if (vcpu->run->exit_reason != KVM_EXIT_IO || vcpu->run->io.port != port)
		errx(1, "exit %u at port %#x, expected port %#x",
		     vcpu->run->exit_reason, vcpu->run->io.port, port);
}

/* Make an ExtINT pending with IRQs off, and let KVM request the window. */
static void open_window(struct vcpu *vcpu)
{
	struct kvm_interrupt extint = { .irq = VECTOR };

	run_to(vcpu, PORT_CLOSED);
	xioctl(vcpu->fd, KVM_INTERRUPT, &extint);
	run_to(vcpu, PORT_WAITING);
}

int main(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = 0x10000 };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	unsigned char *memory;
	struct vcpu first, second;
	int kvm, vm, round;

	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = xioctl(kvm, KVM_CREATE_VM, 0);
	xioctl(vm, KVM_ENABLE_CAP, &split);

	memory = mmap(NULL, slot.memory_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap of guest memory");
	memcpy(memory + 0x1000, guest_code, sizeof(guest_code));
	memcpy(memory + 0x2000, handler_code, sizeof(handler_code));
	memcpy(memory + VECTOR * 4, (unsigned short[]){ 0x2000, 0 }, 4);
	slot.userspace_addr = (unsigned long)memory;
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);

	first = add_vcpu(kvm, vm, 0);
	second = add_vcpu(kvm, vm, 1);

	open_window(&first);
	for (round = 0; round < ROUNDS; round++) {
		open_window(&second);
		run_to(&second, PORT_TAKEN);
	}
	run_to(&first, PORT_TAKEN);
	printf("%d of %d ExtINTs arrived\n", round + 1, ROUNDS + 1);
	return 0;
}
