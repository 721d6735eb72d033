// What a site does with the Web SDK, and notes of what the SDK hands to the browser: each body that goes out, how, and
// the answer. Notes are kept in localStorage, so that they outlive the page. Nothing on its way is changed.
'use strict';
const kf = (() => {
    const settings = Object.fromEntries(new URLSearchParams(location.search));
    const SENT = 'kf-sent', LOGGED = 'kf-logged';
    const notes = (key) => JSON.parse(localStorage.getItem(key) || '[]');
    const isEvents = (url) => settings.host && String(url).startsWith(`https://${settings.host}/`) && String(url).endsWith('/events');

    function note(entry) {
        const all = notes(SENT);
        all.push(entry);
        localStorage.setItem(SENT, JSON.stringify(all));
        return all.length - 1;
    }

    function answered(index, status) {
        const all = notes(SENT);
        all[index].status = status;
        localStorage.setItem(SENT, JSON.stringify(all));
    }

    const fetchOfBrowser = window.fetch;
    window.fetch = async function (url, options) {
        if (!isEvents(url)) return fetchOfBrowser.apply(this, arguments);
        const index = note({ how: 'fetch', url: String(url), type: options.headers['Content-Type'], body: options.body, status: null });
        try {
            const answer = await fetchOfBrowser.apply(this, arguments);
            answered(index, answer.status);
            return answer;
        } catch (error) {
            answered(index, String(error));
            throw error;
        }
    };

    // A blob can't be read at once, and when a page is left there is no later.
    const texts = new WeakMap(), BlobOfBrowser = window.Blob;
    window.Blob = function (parts, options) {
        const blob = new BlobOfBrowser(parts, options);
        texts.set(blob, parts.join(''));
        return blob;
    };
    window.Blob.prototype = BlobOfBrowser.prototype;
    const beaconOfBrowser = navigator.sendBeacon.bind(navigator);
    navigator.sendBeacon = (url, blob) => {
        const taken = beaconOfBrowser(url, blob);
        if (isEvents(url)) note({ how: 'beacon', url: String(url), type: blob.type, body: texts.get(blob), status: taken });
        return taken;
    };

    // A name for an event's attributes that no other event has.
    function tag(more) {
        const all = notes(LOGGED);
        const name = `${settings.name}-${all.length + 1}`;
        all.push(name);
        localStorage.setItem(LOGGED, JSON.stringify(all));
        return { ...more, kf_event: name };
    }

    const done = (call) => new Promise((resolve) => call(resolve));

    return {
        sent: () => notes(SENT),
        logged: () => notes(LOGGED),
        forget: () => [SENT, LOGGED].forEach((key) => localStorage.removeItem(key)),
        // The first releases don't say whether they are ready; their user says it.
        ready: () => (!mParticle.isInitialized || mParticle.isInitialized()) && Boolean(mParticle.Identity.getCurrentUser()?.getMPID()),

        // Without a host the page sends nothing, and its notes can be read.
        start() {
            if (!settings.host) return;
            const config = { isDevelopmentMode: false, logLevel: 'warning', appName: 'peers', appVersion: '1.2.3',
                dataPlan: { planId: 'peers', planVersion: 3 } };
            if (settings.way === 'domain') config.domain = settings.host;
            else Object.assign(config, { v3SecureServiceUrl: `${settings.host}/v3/JS/`,
                configUrl: `${location.host}${settings.offline === 'True' ? '/offline' : ''}/JS/v2/`, identityUrl: `${location.host}/v1/` });
            // Logged before anybody has said who the user is: the SDK keeps it until then.
            mParticle.init('us1-0123456789abcdef', config);
            mParticle.logEvent('Before identity', mParticle.EventType.Other, tag());
        },

        visit() {
            mParticle.setPosition(52.520008, 13.404954);
            mParticle.logPageView('Start', tag({ path: location.pathname, title: 'Grüße ☃ \u{1F600} "quoted" \\ / \u2028' }));
            mParticle.logPageView('Products', tag({ number: 9007199254740993, third: 1 / 3, tiny: 1e-7, flag: true }));
            mParticle.logEvent('Played a song', mParticle.EventType.Navigation, tag({ empty: '' }), { 'Google.Page': '/a' });
            mParticle.logEvent('Searched', mParticle.EventType.Search, tag({ 'with space': 'x'.repeat(3000) }));
            mParticle.logError(new TypeError('Something went wrong\nin two lines'), tag());
            mParticle.logError('Only a text', tag());
            for (let i = 0; i < 40; i++) mParticle.logEvent(`Tick ${i}`, mParticle.EventType.Other, tag({ i }));
        },

        tick: () => mParticle.logEvent('Tick', mParticle.EventType.Other, tag()),

        // More than a browser takes as a beacon.
        large() {
            for (let i = 0; i < 40; i++) mParticle.logEvent('Large', mParticle.EventType.Other, tag({ text: 'x'.repeat(3000) }));
        },

        shop() {
            const { eCommerce, ProductActionType, PromotionType } = mParticle;
            const product = eCommerce.createProduct('Double Room', 'econ-1', 100.00, 4, 'variant', 'category', 'brand', 1, 'coupon',
                { 'with-breakfast': 'yes' });
            const promotion = eCommerce.createPromotion('promo-1', 'sale_banner_1', 'App sale', 0);
            const total = { Id: 'transaction-1', Revenue: 430.25, Tax: 30.1, Shipping: 0 };
            eCommerce.logProductAction(ProductActionType.AddToCart, product, tag());
            eCommerce.logProductAction(ProductActionType.Purchase, [product, product], tag(), null, total);
            eCommerce.logPromotion(PromotionType.PromotionView, promotion, tag());
            eCommerce.logImpression(eCommerce.createImpression('Suggested', product), tag());
        },

        attributes() {
            const user = mParticle.Identity.getCurrentUser();
            user.setUserAttribute('plan', 'gold');
            user.setUserAttribute('age', 44);
            user.setUserAttributeList('genres', ['pop', 'rock', 'ünï']);
            user.setUserTag('tagged');
            user.setUserAttribute('plan', 'silver');
            user.removeUserAttribute('age');
            const state = mParticle.Consent.createConsentState();
            state.addGDPRConsentState('analytics', mParticle.Consent.createGDPRConsent(true, Date.now(), 'v2', 'a page', 'none'));
            state.setCCPAConsentState(mParticle.Consent.createCCPAConsent(false, Date.now()));
            user.setConsentState(state);
            mParticle.setSessionAttribute('entrance', 'banner');
            mParticle.logEvent('With attributes', mParticle.EventType.UserPreference, tag());
        },

        async login() {
            await done((call) => mParticle.Identity.login(
                { userIdentities: { customerid: 'customer-7', email: 'user@example.com' } }, call));
            mParticle.logEvent('Logged in', mParticle.EventType.Other, tag());
            await done((call) => mParticle.Identity.modify({ userIdentities: { email: 'other@example.com', other: 'o-1' } }, call));
            mParticle.logEvent('Changed', mParticle.EventType.Other, tag());
            return mParticle.Identity.getCurrentUser().getMPID();
        },

        async logout() {
            await done((call) => mParticle.Identity.logout({ userIdentities: {} }, call));
            mParticle.logEvent('Logged out', mParticle.EventType.Other, tag());
            return mParticle.Identity.getCurrentUser().getMPID();
        },

        optOut() {
            mParticle.setOptOut(true);
            mParticle.setOptOut(false);
            mParticle.logEvent('Back again', mParticle.EventType.Other, tag());
        },

        // The page goes away in the same turn, before the SDK's timer.
        leave() {
            mParticle.logEvent('Last words', mParticle.EventType.Other, tag());
            location.href = `page.html?${new URLSearchParams(settings)}&again`;
        },

        upload: () => mParticle.upload && mParticle.upload(),
        endSession: () => mParticle.endSession(),

        // Not the SDK: a page's own sender, with the type that makes the browser ask first.
        async preflighted() {
            const event = { event_type: 'custom_event', data: { event_name: 'Own', custom_event_type: 'other',
                timestamp_unixtime_ms: Date.now(), custom_attributes: tag() } };
            const batch = { source_request_id: crypto.randomUUID(), environment: 'production', mpid: '1', mp_deviceid: crypto.randomUUID(),
                timestamp_unixtime_ms: Date.now(), events: [event] };
            const answer = await fetch(`https://${settings.host}/v3/JS/us1-0123456789abcdef/events`, { method: 'POST',
                headers: { 'Content-Type': 'application/json', Accept: 'application/json' }, body: JSON.stringify(batch) });
            return answer.status;
        },
    };
})();
