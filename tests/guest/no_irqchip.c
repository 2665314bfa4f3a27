// SPDX-License-Identifier: GPL-2.0
/*
 * A VM without an in-kernel irqchip, with one vCPU, made and closed.  The
 * caller probes which AVIC tables KVM frees with it.
 */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);

	if (vcpu < 0)
		err(1, "creating a VM with a vCPU");
	close(vcpu);
	close(vm);
	return 0;
}
