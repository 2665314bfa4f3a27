/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device's IRQ is routed from one vCPU to another, or to the same one again, while they block:
 * avic_pi_update_irte(), avic_vcpu_blocking() and avic_vcpu_unblocking() in arch/x86/kvm/svm/avic.c.
 *
 * NO_<patch> leaves a patch of the stack out. BREAK_<name> is a fault. The rest is the scenario:
 * how often what happens.
 */
#ifndef ROUTES		/* that the IRQ gets */
#define ROUTES 2
#endif
#ifndef POSTS		/* of the device */
#define POSTS 2
#endif
#ifndef HALTS		/* of each vCPU */
#define HALTS 2
#endif
#define VCPUS 2

/* What is wrong, for the checker's message. */
mtype = { any, lost };
#ifndef ONLY		/* what to look for */
#define ONLY any
#endif
#define checked(what) (ONLY == any || ONLY == what)
#define FAIL(what) assert(!checked(what) || is_##what)
hidden byte is_lost;

bit is_running[VCPUS] = 1;	/* avic_physical_id_entry; without, GALogIntr is set */
bit listed[VCPUS];		/* The IRTE is on the vCPU's ir_list. */
bit ir_list_lock[VCPUS];
bit irr[VCPUS];			/* in the vAPIC backing page */
bit asleep[VCPUS];

byte owner = 0;			/* the IRTE: whose page, and IsRun, i.e. no GALogIntr */
bit irte_runs = 1;

/* The IOMMU: a doorbell, which a vCPU that blocks doesn't hear, or an entry in the GA Log. */
proctype device()
{
	byte n = POSTS;

	do
	:: n -> atomic {
		n--;
		irr[owner] = 1;
		if
		:: !irte_runs -> asleep[owner] = 0
		:: else
		fi
	}
	:: else -> break
	od
}

/* __avic_vcpu_put() for a block, __avic_vcpu_load() */
inline tell(runs)
{
	atomic { !ir_list_lock[id] -> ir_list_lock[id] = 1 };
	is_running[id] = runs;
	if
	:: listed[id] -> irte_runs = runs
	:: else
	fi;
	ir_list_lock[id] = 0
}

/* kvm_vcpu_block() */
proctype vcpu(byte id)
{
	byte n = HALTS;

	do
	:: n -> n--;
		tell(0);
		do
		:: asleep[id] = 1;
			if
			:: irr[id] -> asleep[id] = 0; break
			:: else
			fi;
end:			!asleep[id]
		od;
		tell(1);
		irr[id] = 0
	:: else -> break
	od
}

/* avic_pi_update_irte() */
proctype router()
{
	byte n = ROUTES, prev, new;

	do
	:: n -> n--;
		prev = owner;
		if
		:: new = 0
		:: new = 1
		fi;
		atomic { !ir_list_lock[prev] -> ir_list_lock[prev] = 1 };
		listed[prev] = 0;
		ir_list_lock[prev] = 0;
#ifdef BREAK_kicked_before_update
		asleep[prev] = 0;
#endif
		atomic { !ir_list_lock[new] -> ir_list_lock[new] = 1 };
		atomic { owner = new; irte_runs = is_running[new] };
		listed[new] = 1;
		ir_list_lock[new] = 0;
#if !defined(NO_pi_irte_kick) && !defined(BREAK_kicked_before_update)
		asleep[prev] = 0
#endif
	:: else -> break
	od
}

proctype monitor()
{
	timeout ->
	if
	:: asleep[0] && irr[0] -> FAIL(lost)
	:: asleep[1] && irr[1] -> FAIL(lost)
	:: else
	fi
}

init {
	atomic {
		listed[0] = 1;
		run vcpu(0);
		run vcpu(1);
		run device();
		run router();
		run monitor()
	}
}
