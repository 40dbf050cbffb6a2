// Starts a real Vendure shop on loopback with an empty catalogue; prints one line of JSON when it answers.
// From the environment: PORT, DATABASE (a file), PASSWORD (of the superadmin).
import { bootstrap, dummyPaymentHandler, DefaultLogger, LogLevel, Populator } from '@vendure/core';

const { PORT, DATABASE, PASSWORD } = process.env;

const config = {
    apiOptions: { hostname: '127.0.0.1', port: Number(PORT), adminApiPath: 'admin-api', shopApiPath: 'shop-api' },
    authOptions: {
        tokenMethod: ['bearer'],
        superadminCredentials: { identifier: 'superadmin', password: PASSWORD },
        requireVerification: false,
    },
    dbConnectionOptions: { type: 'better-sqlite3', database: DATABASE, synchronize: true },
    paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
    logger: new DefaultLogger({ level: LogLevel.Error, timestamp: false }),
    plugins: [],
};

const app = await bootstrap(config);
await app.get(Populator).populateInitialData({
    defaultLanguage: 'en',
    defaultZone: 'Everywhere',
    countries: [
        { name: 'United Kingdom', code: 'GB', zone: 'Everywhere' },
        { name: 'China', code: 'CN', zone: 'Everywhere' },
    ],
    taxRates: [{ name: 'Standard', percentage: 0 }],
    shippingMethods: [{ name: 'Standard', price: 300 }],
    paymentMethods: [
        { name: 'dummy', handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] } },
    ],
    collections: [],
});
console.log(JSON.stringify({ ready: true, port: Number(PORT) }));

const stop = async () => {
    await app.close();
    process.exit(0);
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
// The test that started us may be killed: when its end of the pipe closes, there is nobody to serve.
process.stdin.resume();
process.stdin.on('end', stop);
