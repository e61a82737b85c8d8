/* SPDX-License-Identifier: MIT */
/* VMX's table of vendor verbs. */
#include "hypervisor/vmx/vmx.h"

const struct vendor vmx_vendor = {
    .backend = PH_BACKEND_VMX,
    .is_present = vmx_is_present,
    .cpu_init = vmx_cpu_init,
    .shared_create = vmx_maps_create,
    .tables_create = vmx_tables_create,
    .vcpu_create = vmx_vcpu_create,
    .vcpu_configure = vmx_vcpu_configure,
    .vcpu_reset = vmx_vcpu_reset,
    .vcpu_boot = vmx_vcpu_boot,
    .vcpu_start = vmx_vcpu_start,
    .load_state = vmx_load_state,
    .save_state = vmx_save_state,
    .handle_exit = vmx_handle_exit,
    .slot_name = vmx_slot_name,
    .code_name = vmx_code_name,
    .dump = vmx_dump,
};
