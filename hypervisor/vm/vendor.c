/* SPDX-License-Identifier: MIT */
/* Choice of the vendor: the virtualization that the host's processors have. */
#include "hypervisor/vm/vendor.h"
#include "hypervisor/lib/panic.h"

const struct vendor *vendor;
enum ph_delivery vendor_delivery_limit = PH_DELIVERY_POSTED;

void vendor_limit_delivery(enum ph_delivery delivery)
{
	vendor_delivery_limit = delivery;
}

void virt_cpu_init(void)
{
	const struct vendor *found = NULL;

	if (svm_vendor.is_present())
		found = &svm_vendor;
	else if (vmx_vendor.is_present())
		found = &vmx_vendor;
	if (!found)
		panic("not supported: this processor has neither SVM nor VMX (QEMU: -cpu max)");
	if (vendor && vendor != found)
		panic("not supported: the processors differ in their virtualization");
	vendor = found;
	vendor->cpu_init();
}
