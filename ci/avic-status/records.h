/* SPDX-License-Identifier: GPL-2.0 */
/* What avic.bpf.c hands to the program: records of its iterator, and keys of its maps. */
#ifndef RECORDS_H
#define RECORDS_H

#define UNKNOWN (-1)

/* A file of a VM or of a vCPU that a process has open, and what KVM knows of it. */
struct record {
	__u64 kvm;  /* which VM: its address in the kernel */
	__u64 vcpu; /* which vCPU; 0 for the VM's own file */
	char comm[16];
	__u32 tgid;
	__s32 owner;   /* the thread that made the VM; UNKNOWN: this kernel doesn't say */
	__u64 reasons; /* the VM's inhibits, as bits */
	__s32 windows; /* vCPUs that hold an IRQ window; UNKNOWN: this kernel doesn't count them */
	__s32 vcpus;   /* how many there are, or UNKNOWN */
	__u32 vm_id;   /* AVIC's ID of the VM, as the GA Log has it */
	__s32 posted;  /* an interrupt of a device was ever to be posted; UNKNOWN: only the stack's kernels say */

	/* Only of a vCPU. */
	__s32 tid; /* the thread that ran it last; 0: it has not run yet */
	__s32 id;
	__s32 idx;
	__u32 int_ctl; /* of the VMCB */
	__u64 apic_base;
	__s64 exits; /* or UNKNOWN, as the next two */
	__s64 window_exits;
	__s64 wakeups;
	__s32 irtes;	    /* interrupts of devices in its list, to be posted to it; or UNKNOWN, as the next two */
	__s32 irtes_posted; /* of these, those whose IRTE is in guest mode */
	__s32 irtes_logged; /* of these, those that come as GA Log entries at the moment */
	__u8 has_apic;
	__u8 active; /* AVIC is on for it, as KVM decided when it last ran */
	__u8 nested; /* it runs a guest of its guest */
	__s8 window; /* it waits for an IRQ window; or UNKNOWN */
};

enum spent_kind {
	UNACCELERATED, /* an exit for a register with AVIC on; what: its offset, or with WRITTEN */
	EMULATED,      /* KVM read or wrote a register for the guest; what: the same */
	IPI,	       /* AVIC could not deliver an IPI to its end; what: why, or with BUSY */
	SPENT_KINDS,
};

/* In what: the register was written, not read. */
#define WRITTEN (1u << 31)

/* In what: the CPU has left the ICR busy, so that KVM writes it once more. */
#define BUSY (1u << 30)

/* In what, for an offset: where there is no register. */
#define NO_REGISTER 0x400

/* Each 256 bits wide, and counted as one: ISR, TMR, IRR. */
#define BANKS_BEGIN 0x100
#define BANKS_END 0x280
#define BANK_SIZE 0x80

/* Exits of the thread that runs a vCPU. */
struct spent {
	__u32 tid;
	__s32 vcpu_id; /* or UNKNOWN */
	__u32 kind;
	__u32 what;
};

/* Who switched an inhibit: a VM is known by its process. */
struct switched {
	__u32 tgid;
	__u32 reason;
};

struct switches {
	__u64 since; /* nanoseconds of CLOCK_MONOTONIC, of the last change; 0: it was not seen */
	__u32 is_set;
	__u32 sets;
	__u32 clears;
};

struct logged {
	__u32 vm_id;
	__u32 vcpu; /* its index, or in older kernels its ID: the types do not show which */
};

/* What is counted for the whole machine. */
enum total {
	DOORBELLS,
	IRTES_UPDATED,
	GA_LOG_ENTRIES,
	GA_LOG_OVERFLOWS,
	LOST, /* what was not counted because a map was full */
	TOTALS,
};

#endif
