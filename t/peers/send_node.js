// Sends by mParticle's server SDK for Node: send_node.js BASE-URL KEY SECRET NAME. An object a line on standard output:
// what was sent ("body", as the SDK's HTTP library writes it), where, and the status that came back.
'use strict';
const mParticle = require(process.env.KF_SDK || 'mparticle');

const [base, key, secret, name] = process.argv.slice(2);
const api = new mParticle.EventsApi(key === '-' ? undefined : new mParticle.Configuration(key, secret));
api.apiClient.basePath = base;
let count = 0;

function tagged(event, members) {
    Object.assign(event, members);
    event.custom_attributes = { ...(members.custom_attributes || {}), kf_event: `${name}-${++count}` };
    event.timestamp_unixtime_ms = 1700000000000 + count;
    return event;
}

function everyKind(user) {
    const batch = new mParticle.Batch(mParticle.Batch.Environment.production);
    batch.user_identities = new mParticle.UserIdentities();
    batch.user_identities.customerid = user;
    batch.user_identities.email = `${user}@example.com`;
    batch.user_attributes = { 'hair color': 'brown', list: ['a', 'ä', '\u{1F600}'], empty: '' };
    batch.device_info = new mParticle.DeviceInformation();
    batch.device_info.ios_advertising_id = '07d2ebaa-e956-407e-a1e6-f05f871bf4e2';
    batch.mp_deviceid = '59780f39-d7a0-4ebe-9950-280f937c29e2';
    batch.mpid = 600868121729048600;
    // Not in older releases.
    if (mParticle.BatchContext) {
        batch.context = new mParticle.BatchContext();
        batch.context.data_plan = new mParticle.DataPlanContext();
        batch.context.data_plan.plan_id = 'peers';
        batch.context.data_plan.plan_version = 1;
    }
    const consent = (text) => new mParticle.GDPRConsentState(text, true, 1700000000000, 'example.com/signup', 'none');
    batch.consent_state = new mParticle.ConsentState();
    batch.consent_state.gdpr = { analytics: consent('v2') };
    batch.consent_state.ccpa = { data_sale_opt_out: new mParticle.CCPAConsentState('v3', true, 1700000000000, 'here', 'x') };

    const product = Object.assign(new mParticle.Product(), { id: 'sku-1', name: 'Example', price: 19.99, quantity: 2 });
    const action = Object.assign(new mParticle.ProductAction('purchase'), { products: [product], total_amount: 41.48 });
    batch.addEvent(tagged(new mParticle.SessionStartEvent(), { session_id: 12345678 }));
    batch.addEvent(tagged(new mParticle.AppEvent('navigation', 'Hello "World" ☃'), { custom_attributes: { n: 1 / 3 } }));
    batch.addEvent(tagged(new mParticle.ScreenViewEvent(), { screen_name: 'Start' }));
    batch.addEvent(tagged(new mParticle.CommerceEvent(), { product_action: action, currency_code: 'USD' }));
    batch.addEvent(tagged(new mParticle.OptOutEvent(), { is_opted_out: true }));
    batch.addEvent(tagged(new mParticle.CrashReportEvent(), { class_name: 'E', severity: 'fatal', message: 'line 1\nline 2' }));
    batch.addEvent(tagged(new mParticle.SessionEndEvent(), { session_id: 12345678, session_duration_ms: 10000 }));
    return batch;
}

function send(method, path, body) {
    return new Promise((resolve) => api[method](body, (error, data, response) => {
        const status = response ? response.status : (error && error.status) || 0;
        console.log(JSON.stringify({ path, body: JSON.stringify(body), status, answer: response ? response.text : '' }));
        resolve();
    }));
}

(async () => {
    await send('uploadEvents', '/events', everyKind('node-user-0'));
    await send('bulkUploadEvents', '/bulkevents', Array.from({ length: 20 }, (_, i) => everyKind(`node-user-${i + 1}`)));
})();
