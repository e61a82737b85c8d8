/* SPDX-License-Identifier: MIT */
/* SVM's table of vendor verbs. */
#include "hypervisor/svm/svm.h"
#include "hypervisor/vm/vendor.h"

/* Nested entries are user accesses to the nested walk (APM vol. 2, "Nested Page Tables"). */
static const struct npt_format npt_format = {
    .table = PTE_P | PTE_RW | PTE_US,
    .leaf = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D,
};

static uint64_t tables_create(struct vm *vm)
{
	return npt_create(&npt_format, vm);
}

static void vcpu_configure(const struct vcpu *vcpu, struct ph_vcpu_config *config)
{
	config->vmcb = vcpu->arch->vmcb;
	config->delivery = PH_DELIVERY_INJECTED;
	config->inhibits = 1u << PH_INHIBIT_HARDWARE;
}

const struct vendor svm_vendor = {
    .backend = PH_BACKEND_SVM,
    .is_present = svm_is_present,
    .cpu_init = svm_cpu_init,
    .shared_create = permission_maps_create,
    .tables_create = tables_create,
    .vcpu_create = svm_vcpu_create,
    .vcpu_configure = vcpu_configure,
    .vcpu_reset = arch_vcpu_reset,
    .vcpu_boot = arch_vcpu_boot,
    .vcpu_start = arch_vcpu_start,
    .load_state = svm_load_state,
    .save_state = svm_save_state,
    .handle_exit = exit_handle,
    .slot_name = svm_exit_name,
    .code_name = svm_code_name,
    .dump = arch_dump,
};
