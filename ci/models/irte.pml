/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The IRTE of an assigned device's IRQ: drivers/iommu/amd/iommu.c, arch/x86/kvm/svm/avic.c.
 *
 * The host moves the IRQ to another CPU, the vCPU turns AVIC on and off, and a third party
 * routes the IRQ to the vCPU. Each works on the same entry.
 *
 * NO_<patch> leaves a patch of the stack out, as ci/models/table has it. BREAK_<name> is a
 * fault. The rest is the scenario: how often what happens.
 */
#ifndef MOVES		/* to another CPU */
#define MOVES 2
#endif
#ifndef TOGGLES		/* of AVIC */
#define TOGGLES 2
#endif
#ifndef ROUTES		/* to the vCPU; without, it is routed from the start */
#define ROUTES 0
#endif

/* What is wrong, for the checker's message. */
mtype = { any, wrong_vector, torn, freed_vector, wrong_mode };
#ifndef ONLY		/* what to look for */
#define ONLY any
#endif
#define checked(what) (ONLY == any || ONLY == what)
#define FAIL(what) assert(!checked(what) || is_##what)
hidden byte is_wrong_vector, is_torn, is_freed_vector, is_wrong_mode;

/* Vectors: the guest's is 0. The host has one for each of its moves, at the CPU of that number. */
#define GUEST 0

bit apicv = 1;			/* apicv_active of the vCPU */
bit routed = !ROUTES;		/* The IRTE is on the vCPU's ir_list. */
bit desc_lock = 0;		/* of the IRQ's descriptor */
bit ir_list_lock = 0;
bit entry_lock = 0;		/* ir_data->lock */
byte cfg_vector = 1;		/* irq_cfg, of the host */
byte cfg_cpu = 1;
byte copy_vector = 1;		/* ir_data->cfg, what amd_ir_update_irte() was last given */
byte copy_cpu = 1;
byte oldest = 1;		/* host's vector that is not freed yet */
byte newest = 1;

bit guest_mode = !ROUTES;	/* ir_data->entry */
byte vector = ROUTES;
byte cpu = ROUTES;

bit in_guest_mode = !ROUTES;	/* the table's entry, which the IOMMU goes by */
byte goes_to = ROUTES;

#ifdef NO_irte_lock
#define lock_entry	skip
#define unlock_entry	skip
#else
#define lock_entry	atomic { !entry_lock -> entry_lock = 1 }
#define unlock_entry	entry_lock = 0
#endif

/* modify_irte_ga() */
inline write_entry()
{
	atomic {
		in_guest_mode = guest_mode;
		goes_to = vector;
		if
		:: guest_mode && vector != GUEST -> FAIL(wrong_vector)
		:: !guest_mode && vector == GUEST -> FAIL(wrong_vector)
		:: !guest_mode && vector != cpu -> FAIL(torn)
		:: !guest_mode && vector == cpu && vector < oldest -> FAIL(freed_vector)
		:: else
		fi
	}
}

/* amd_iommu_activate_guest_mode() */
inline activate()
{
	lock_entry;
	guest_mode = 1;
	vector = GUEST;
	write_entry();
	unlock_entry
}

/* amd_iommu_deactivate_guest_mode() */
inline deactivate()
{
	lock_entry;
	if
	:: guest_mode ->
		guest_mode = 0;
#if defined(NO_irte_lock) || defined(BREAK_cfg_not_copied)
		vector = cfg_vector;
		cpu = cfg_cpu;
#else
		vector = copy_vector;
		cpu = copy_cpu;
#endif
		write_entry()
	:: else
	fi;
	unlock_entry
}

/* amd_ir_set_affinity() */
proctype host()
{
	byte n = MOVES;

	do
	:: n -> n--;
		atomic { !desc_lock -> desc_lock = 1 };
		/* apic_update_irq_cfg() */
		newest++;
		cfg_vector = newest;
		cfg_cpu = newest;
		/* amd_ir_update_irte() */
		lock_entry;
#ifndef BREAK_cfg_not_copied_in_guest_mode
		copy_vector = cfg_vector;
		copy_cpu = cfg_cpu;
#endif
		if
		:: !guest_mode ->
#ifdef BREAK_cfg_not_copied_in_guest_mode
			copy_vector = cfg_vector;
			copy_cpu = cfg_cpu;
#endif
			vector = cfg_vector;
			cpu = cfg_cpu;
			write_entry()
		:: else
		fi;
		unlock_entry;
		/* vector_schedule_cleanup() */
		atomic {
			oldest = newest;
			if
			:: !in_guest_mode && goes_to < oldest -> FAIL(freed_vector)
			:: else
			fi;
			desc_lock = 0
		}
	:: else -> break
	od
}

/* __kvm_vcpu_update_apicv(), by the vCPU */
proctype vcpu()
{
	byte n = TOGGLES;

	do
	:: n -> n--;
		apicv = !apicv;
		atomic { !ir_list_lock -> ir_list_lock = 1 };
		if
		:: routed && apicv -> activate()
		:: routed && !apicv -> deactivate()
		:: else
		fi;
		ir_list_lock = 0
	:: else -> break
	od
}

/* avic_pi_update_irte() */
proctype router()
{
	byte n = ROUTES;
	bit on;

	do
	:: n -> n--;
		atomic { !ir_list_lock -> ir_list_lock = 1 };
		routed = 0;
		ir_list_lock = 0;
#ifdef NO_pi_irte_locked
		on = apicv;
#endif
		atomic { !ir_list_lock -> ir_list_lock = 1 };
#ifndef NO_pi_irte_locked
		on = apicv;
#endif
		atomic { !desc_lock -> desc_lock = 1 };
		if
		:: on -> activate()
		:: else -> deactivate()
		fi;
		desc_lock = 0;
#ifdef BREAK_listed_after_unlock
		ir_list_lock = 0;
#endif
		routed = 1;
		ir_list_lock = 0
	:: else -> break
	od
}

proctype monitor()
{
	timeout ->
	if
	:: in_guest_mode != apicv -> FAIL(wrong_mode)
	:: in_guest_mode && goes_to != GUEST -> FAIL(wrong_vector)
	:: else
	fi
}

init {
	atomic {
		run host();
		run vcpu();
		run router();
		run monitor()
	}
}
