/* SPDX-License-Identifier: Apache-2.0
 *
 * A POST to the status page: replaying and discarding dead letters, acknowledging alerts. Answers with
 * JSON where that is asked for, else sends the browser back to the page, which tells what became of it.
 * The request's thread.
 *
 * The form's fields: token; and one of  replay=ID  discard=ID  replay-all=NAME  discard-all=NAME
 * acknowledge=ALERT  selected=replay|discard with letter=ID, as often as there are.
 */
#ifndef KF_STATUS_CHANGE_H
#define KF_STATUS_CHANGE_H

#include <httpd.h>
#include "status/kf_form.h"

/** @return what the handler is to return */
int kf_status_change(request_rec *r);

/** What the page's query says of the last change, for people. @param[out] bad  it was not made
 * @return NULL: nothing */
const char *kf_status_change_notice(request_rec *r, const kf_form_t *query, bool *bad);

#endif
